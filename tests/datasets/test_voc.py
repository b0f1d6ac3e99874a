import logging

import cv2
import numpy as np
import pytest

from ms2a.datasets.voc import voc_to_coco
from ms2a.errors import UserError


def voc_object(name, box, difficult=None) -> str:
    corners = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    flag = "" if difficult is None else f"<difficult>{difficult}</difficult>"
    return f"<object><name>{name}</name>{flag}<bndbox>{corners}</bndbox></object>"


def write(folder, stem, objects, filename=None, size=(60, 40)) -> None:
    filename = f"{stem}.jpg" if filename is None else filename
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    content = f"<annotation><filename>{filename}</filename>{size}{''.join(objects)}</annotation>"
    (folder / "xml" / f"{stem}.xml").write_text(content)
    cv2.imwrite(str(folder / "images" / f"{stem}.jpg"), np.zeros((40, 60, 3), np.uint8))


@pytest.fixture
def folder(tmp_path):
    for name in ("xml", "images"):
        (tmp_path / name).mkdir()
    return tmp_path


def convert(folder, classes=None) -> dict:
    return voc_to_coco(folder / "xml", classes, folder / "images")


def test_boxes_classes_and_difficult(folder):
    write(folder, "b", [voc_object("nut", (1, 1, 10, 20)), voc_object("bolt", (11, 5, 60, 40), difficult=1)])
    write(folder, "a", [])
    coco = convert(folder)
    assert [(image["file_name"], image["width"], image["height"]) for image in coco["images"]] == [
        ("a.jpg", 60, 40),
        ("b.jpg", 60, 40),
    ]
    assert [category["name"] for category in coco["categories"]] == ["bolt", "nut"]
    first, second = coco["annotations"]
    assert (first["image_id"], first["category_id"], first["bbox"], first["area"], first["iscrowd"]) == (
        2,
        2,
        [0, 0, 10, 20],
        200,
        0,
    )
    assert (second["category_id"], second["bbox"], second["iscrowd"]) == (1, [10, 4, 50, 36], 1)


def test_classes_select_and_order(folder, caplog):
    write(folder, "a", [voc_object("nut", (1, 1, 10, 20)), voc_object("bolt", (1, 1, 10, 20))])
    with caplog.at_level(logging.WARNING):
        coco = convert(folder, ["gear", "nut"])
    assert coco["categories"] == [{"id": 1, "name": "gear"}, {"id": 2, "name": "nut"}]
    assert [annotation["category_id"] for annotation in coco["annotations"]] == [2]
    assert "{'bolt': 1}" in caplog.text and "['gear']" in caplog.text
    with pytest.raises(UserError, match=r"no object of the classes \['gear'\].*\['bolt', 'nut'\]"):
        convert(folder, ["gear"])


@pytest.mark.parametrize("size", [None, (0, 0), ("wide", "nan"), ("inf", 40)])
def test_missing_size_is_read_from_the_image(folder, size):
    write(folder, "a", [voc_object("nut", (1, 1, 10, 20))], size=size)
    (image,) = convert(folder)["images"]
    assert (image["width"], image["height"]) == (60, 40)


@pytest.mark.parametrize("filename", ["", "C:\\photos\\a.jpg", "/home/someone/a.jpg", "renamed.jpg"])
def test_image_is_found_by_the_name_of_the_xml_file_too(folder, filename):
    write(folder, "a", [voc_object("nut", (1, 1, 10, 20))], filename=filename)
    assert convert(folder)["images"][0]["file_name"] == "a.jpg"


def test_bad_boxes_are_dropped_with_a_warning(folder, caplog):
    write(folder, "a", [voc_object("nut", (1, 1, 10, 20)), voc_object("nut", (80, 1, 90, 20))])
    with caplog.at_level(logging.WARNING):
        assert len(convert(folder)["annotations"]) == 1
    assert "1 annotation(s) dropped" in caplog.text


def break_xml(folder):
    (folder / "xml" / "a.xml").write_text("<annotation><object>")


def remove_image(folder):
    (folder / "images" / "a.jpg").unlink()


def remove_corner(folder):
    path = folder / "xml" / "a.xml"
    path.write_text(path.read_text().replace("<ymax>20</ymax>", ""))


def remove_xml(folder):
    (folder / "xml" / "a.xml").unlink()


def use_unknown_encoding(folder):
    (folder / "xml" / "a.xml").write_text('<?xml version="1.0" encoding="none"?><annotation/>')


def copy_xml(folder):
    (folder / "xml" / "b.xml").write_bytes((folder / "xml" / "a.xml").read_bytes())


@pytest.mark.parametrize(
    "change, message",
    [
        (use_unknown_encoding, "a.xml is malformed"),
        (copy_xml, "2 of the 2 XML files are about image a.jpg"),
        (break_xml, "a.xml is malformed"),
        (remove_image, "image a.jpg of XML file .* is not in"),
        (remove_corner, "'nut' has no complete bndbox"),
        (remove_xml, "no XML files in"),
    ],
)
def test_mistakes_are_explained(folder, change, message):
    write(folder, "a", [voc_object("nut", (1, 1, 10, 20))])
    change(folder)
    with pytest.raises(UserError, match=message):
        convert(folder)


def test_missing_folders(folder):
    with pytest.raises(UserError, match="folder of XML files .* does not exist"):
        voc_to_coco(folder / "nowhere", None, folder / "images")
    write(folder, "a", [voc_object("nut", (1, 1, 10, 20))])
    with pytest.raises(UserError, match="image folder .* does not exist"):
        voc_to_coco(folder / "xml", None, folder / "nowhere")
