import pytest

from ms2a.datasets.check.sets import check_set
from ms2a.datasets.formats.voc import read_list
from ms2a.errors import UserError


def voc_object(name="nut", box=(1, 1, 10, 20), more="") -> str:
    corners = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>"


def write(folder, stem, objects, filename=None, size=(60, 40), front="") -> None:
    filename = f"{stem.rsplit('/', 1)[-1]}.jpg" if filename is None else filename
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    content = f"<annotation>{front}<filename>{filename}</filename>{size}{''.join(objects)}</annotation>"
    folder.write(f"{stem}.xml", content)
    folder.picture(f"{stem.rsplit('/', 1)[-1]}.jpg")


def test_boxes_classes_and_difficult(folder, boxes):
    write(folder, "b", [voc_object(), voc_object("bolt", (11, 5, 60, 40), "<difficult>1</difficult>")])
    write(folder, "a", [])
    coco, _, kind, _ = folder.read()
    assert kind == "voc"
    assert [(image["file_name"], image["width"], image["height"]) for image in coco["images"]] == [
        ("a.jpg", 60, 40),
        ("b.jpg", 60, 40),
    ]
    assert [category["name"] for category in coco["categories"]] == ["bolt", "nut"]
    assert boxes(coco) == [("b.jpg", "nut", (0, 0, 10, 20), 0), ("b.jpg", "bolt", (10, 4, 50, 36), 1)]


@pytest.mark.parametrize(
    "flag, crowd",
    [("0", 0), ("1", 1), ("Unspecified", 0), ("False", 0), ("0.0", 0), ("true", 1), ("1.0", 1), ("", 0), ("maybe", 0)],
)
def test_flags_are_read_by_value(folder, boxes, counts, flag, crowd):
    write(folder, "a", [voc_object(more=f"<difficult>{flag}</difficult>")])
    coco, findings, *_ = folder.read()
    assert boxes(coco)[0][3] == crowd
    assert counts(findings, "neither yes nor no") == ([1] if flag == "maybe" else [])


LABELIMG = "<path>/x/a.jpg</path><source><database>Unknown</database></source>"
LABEL_STUDIO = "<source><database>MyDatabase</database></source><owner><name>Label Studio</name></owner>"
DATUMARO = "<source><database>Unknown</database><annotation>Unknown</annotation><image>Unknown</image></source>"


@pytest.mark.parametrize(
    "corners, front, asked, origin, reason",
    [
        ([(0, 0, 10, 20), (5, 5, 9, 9)], "", None, 0, "2 of 4 corners lie below 1 and 0 at 1"),
        ([(1, 1, 10, 20), (5, 5, 9, 9)], "", None, 1, "2 of 4 corners lie at 1 and 0 below"),
        ([(0, 1, 10, 20), (1, 5, 9, 9)], "", None, 0, "1 of 4 corners lie below 1 and 2 at 1"),
        ([(0, 1, 10, 20), (1, 1, 9, 9), (1, 1, 5, 5)], "", None, 1, "5 of 6 corners lie at 1 and 1 below"),
        ([(7, 8, 10, 20), (5, 5, 9, 9)], "", None, 1, "no corner lies at 0 or 1"),
        ([(7, 8, 10, 20), (5, 5, 9, 9)], "", 0, 0, "as asked"),
        ([(0, 0, 10, 20), (5, 5, 9, 9)], "", 1, 1, "as asked"),
        # labelImg puts corners below 1 at 1, though it counts from 0.
        ([(1, 1, 10, 20), (5, 5, 9, 9)], LABELIMG, None, 0, "files of labelImg count from 0"),
        ([(7, 8, 10, 20), (5, 5, 9, 9)], LABEL_STUDIO, None, 0, "files of Label Studio"),
        ([(7, 8, 10, 20), (5, 5, 9, 9)], DATUMARO, None, 0, "files of datumaro"),
    ],
)  # fmt: skip
def test_first_pixel(folder, boxes, corners, front, asked, origin, reason):
    write(folder, "a", [voc_object(box=box) for box in corners], front=front)
    coco, findings, *_ = folder.read(first_pixel=asked)
    x1, y1, x2, y2 = corners[1]
    assert boxes(coco)[1][2] == (x1 - origin, y1 - origin, x2 - x1 + origin, y2 - y1 + origin)
    (line,) = [finding.line() for finding in findings if "VOC pixels counted" in finding.what]
    assert f"counted from {origin}" in line and reason in line


@pytest.mark.parametrize("first_pixel", [0, 1])
def test_corners_in_any_order(folder, boxes, counts, first_pixel):
    write(folder, "a", [voc_object(box=(5, 7, 20, 30)), voc_object(box=(20, 30, 5, 7)), voc_object(box=(20, 7, 5, 30))])
    coco, findings, *_ = folder.read(first_pixel=first_pixel)
    assert len({box for _, _, box, _ in boxes(coco)}) == 1
    assert counts(findings, "put in order") == [2]


def test_rotation_beside_the_box_as_cvat_writes_it(folder, boxes, counts):
    angle = "<attributes><attribute><name>rotation</name><value>{}</value></attribute></attributes>"
    write(
        folder,
        "a",
        [
            voc_object(box=(10, 10, 30, 20), more=angle.format(90)),
            voc_object(box=(0, 10, 30, 20), more=angle.format(0)),
        ],
    )
    coco, findings, *_ = folder.read()
    assert boxes(coco)[0][2] == pytest.approx((15, 5, 10, 20))
    assert boxes(coco)[1][2] == (0, 10, 30, 10)
    assert counts(findings, "rotated boxes") == [1]


def test_any_depth_lists_and_pictures_without_xml(folder, boxes, counts):
    write(folder, "deep/er/b", [voc_object()])
    write(folder, "a", [voc_object()])
    folder.picture("c.jpg")
    coco, findings, *_ = folder.read()
    assert [image["file_name"] for image in coco["images"]] == ["a.jpg", "b.jpg"]
    assert counts(findings, "without an XML file left out") == [1]
    coco, findings, *_ = folder.read(listed=["b", "c"])
    assert [image["file_name"] for image in coco["images"]] == ["b.jpg", "c.jpg"]
    assert [name for name, *_ in boxes(coco)] == ["b.jpg"]
    assert counts(findings, "taken for empty") == [1]
    with pytest.raises(UserError, match="image nowhere of .* is not in"):
        folder.read(listed=["b", "nowhere"])


def test_the_same_name_in_several_folders(folder, boxes):
    """Folders of the XML files are called like those of the pictures."""
    for number, camera in enumerate(("cam1", "cam2"), start=1):
        write(folder, f"Annotations/{camera}/a", [voc_object(box=(1, 1, 10 * number, 20))])
        folder.picture(f"{camera}/a.jpg")
    (folder.images / "a.jpg").unlink()
    (folder.labels / "Annotations/cam1/._a.xml").write_bytes(b"\0\1")  # as macOS leaves behind
    found = {name: box[2] for name, _, box, _ in boxes(folder.read().coco)}
    assert found == {"cam1/a.jpg": 10, "cam2/a.jpg": 20}
    folder.picture("a.jpg")
    assert {name for name, *_ in boxes(folder.read().coco)} == {"cam1/a.jpg", "cam2/a.jpg"}


def test_classes_select_and_order(folder, counts):
    write(folder, "a", [voc_object("nut"), voc_object("bolt")])
    coco, findings, *_ = folder.read(["gear", "nut"])
    assert coco["categories"] == [{"id": 1, "name": "gear"}, {"id": 2, "name": "nut"}]
    assert [annotation["category_id"] for annotation in coco["annotations"]] == [2]
    assert counts(findings, "'bolt' left out") == [1]
    with pytest.raises(UserError, match=r"no object of the classes \['gear'\].*\['bolt', 'nut'\]"):
        folder.read(["gear"])


def test_a_picture_annotated_in_two_files_is_left_to_the_check(folder, counts):
    write(folder, "a", [voc_object("nut")])
    (folder.labels / "b.xml").write_bytes((folder.labels / "a.xml").read_bytes())
    coco, findings, *_ = folder.read()
    assert counts(findings, "pictures annotated in several places: 1 (a.jpg in ") == [1]
    checked = check_set(coco, folder.images)
    assert (checked.num_images, checked.merged, checked.boxes) == (1, 1, {"nut": 1})


@pytest.mark.parametrize(
    "listed, taken",
    [
        ("\ufeffa.jpg 1\r\nb -1\r\na\r\n", ["a.jpg", "b.jpg"]),
        ("JPEGImages/a.jpg\n", ["a.jpg"]),
        ("a.JPG\nsub/c\n", ["a.jpg", "sub/c.jpg"]),
    ],
)
def test_lists_as_they_are_written(folder, counts, listed, taken):
    for name in ("a", "sub/c"):
        write(folder, name, [voc_object("nut")])
    write(folder, "other/c", [voc_object("nut")])
    for name in ("b.jpg", "sub/c.jpg", "other/c.jpg", "left.jpg"):
        folder.picture(name)
    (folder.images / "c.jpg").unlink()
    (folder.root / "list.txt").write_text(listed, encoding="utf-8")
    coco, findings, *_ = folder.read(listed=read_list(folder.root / "list.txt"))
    assert [image["file_name"] for image in coco["images"]] == taken
    assert counts(findings, "pictures that are not on the list left out") == [5 - len(taken)]


def test_an_empty_list(folder):
    (folder.root / "list.txt").write_text("\n")
    with pytest.raises(UserError, match="list.txt holds no name"):
        read_list(folder.root / "list.txt")


@pytest.mark.parametrize("size", [None, (0, 0), ("wide", "nan"), ("inf", 40)])
def test_missing_size_is_read_from_the_image(folder, size):
    write(folder, "a", [voc_object()], size=size)
    (image,) = folder.read().coco["images"]
    assert (image["width"], image["height"]) == (60, 40)


def test_the_stated_size_stays_for_the_check(folder):
    write(folder, "a", [voc_object()], size=(600, 400))
    (image,) = folder.read().coco["images"]
    assert (image["width"], image["height"]) == (600, 400)


@pytest.mark.parametrize("filename", ["", "C:\\photos\\a.jpg", "/home/someone/a.jpg", "renamed.jpg"])
def test_image_is_found_by_the_name_of_the_xml_file_too(folder, filename):
    write(folder, "a", [voc_object()], filename=filename)
    assert folder.read().coco["images"][0]["file_name"] == "a.jpg"


def break_xml(folder):
    folder.write("a.xml", "<annotation><object>")


def remove_image(folder):
    (folder.images / "a.jpg").unlink()
    folder.picture("z.jpg")


def damage_image(folder):
    (folder.images / "a.jpg").write_bytes(b"not a picture")


def remove_corner(folder):
    path = folder.labels / "a.xml"
    path.write_text(path.read_text().replace("<ymax>20</ymax>", ""))


def remove_xml(folder):
    (folder.labels / "a.xml").unlink()


def use_unknown_encoding(folder):
    folder.write("a.xml", '<?xml version="1.0" encoding="none"?><annotation/>')


@pytest.mark.parametrize(
    "change, message",
    [
        (use_unknown_encoding, "a.xml is malformed"),
        (break_xml, "a.xml is malformed"),
        (remove_image, "image a.jpg of .*a.xml is not in"),
        (damage_image, "image .*a.jpg is missing or unreadable; it may be damaged"),
        (remove_corner, "'nut' has no complete bndbox"),
        (remove_xml, "no XML files in"),
    ],
)
def test_mistakes_are_explained(folder, change, message):
    write(folder, "a", [voc_object()], size=None)
    change(folder)
    with pytest.raises(UserError, match=message):
        folder.read(format="voc")


def test_missing_folders(folder):
    with pytest.raises(UserError, match="annotations .* do not exist"):
        folder.read(source=folder.root / "nowhere")
    write(folder, "a", [voc_object()])
    folder.images = folder.root / "nowhere"
    with pytest.raises(UserError, match="image folder .* does not exist"):
        folder.read()
