"""The converters of annotations, as real commands on tiny data."""

import importlib.util
import json
import sys
import zlib
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest

from ms2a.errors import UserError
from tests.tiny import tool


def picture(path, size_wh=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(
        str(path), np.random.default_rng(zlib.crc32(path.name.encode())).integers(0, 9, (*size_wh[::-1], 3), np.uint8)
    )


def test_to_coco_of_yolo(tmp_path, capsys):
    for name in "abc":
        picture(tmp_path / f"images/{name}.jpg")
    for name, line in (("a", "1 0.5 0.5 0.5 0.5"), ("b", "0 0.9 0.5 0.4 0.5")):
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / f"labels/{name}.txt").write_text(line)
    (tmp_path / "data.yaml").write_text("names: [nut, bolt]")
    main = tool("tools/dataset_converters/to_coco.py")
    main([tmp_path, tmp_path / "images", tmp_path / "out.json", "--classes", "bolt", "nut"])
    coco = json.loads((tmp_path / "out.json").read_text())
    assert [category["name"] for category in coco["categories"]] == ["bolt", "nut"] and len(coco["images"]) == 3
    assert [a["bbox"] for a in coco["annotations"]] == [[15, 10, 30, 20], [42, 10, 18, 20]]
    assert coco["provenance"]["config"].startswith("yolo annotations")
    out = capsys.readouterr().out
    assert "boxes clipped to their picture: 1" in out and "taken for empty: 1 (c.jpg)" in out
    with pytest.raises(UserError, match="no category named 'gear'"):
        main([tmp_path / "out.json", tmp_path / "images", tmp_path / "again.json", "--classes", "gear"])
    main([tmp_path / "out.json", tmp_path / "images", tmp_path / "again.json", "--map", "nut=ignore", "bolt=part"])
    again = json.loads((tmp_path / "again.json").read_text())
    assert [(a["bbox"], a["iscrowd"]) for a in again["annotations"]] == [([15, 10, 30, 20], 0), ([42, 10, 18, 20], 1)]
    with pytest.raises(UserError, match="--map nut: expected NAME=CLASS"):
        main([tmp_path / "out.json", tmp_path / "images", tmp_path / "again.json", "--map", "nut"])


def voc(box, size=(60, 40)) -> str:
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation>{size}<object><name>car</name><bndbox>{corners}</bndbox></object></annotation>"


def test_pictures_of_another_size_are_refused(tmp_path):
    picture(tmp_path / "images/a.jpg")
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml/a.xml").write_text(voc((1, 1, 10, 20), size=(120, 80)))
    main = tool("tools/dataset_converters/to_coco.py")
    with pytest.raises(UserError, match="a.jpg: 120x80 stated, 60x40 in the file"):
        main([tmp_path / "xml", tmp_path / "images", tmp_path / "out.json"])
    assert not (tmp_path / "out.json").exists()


def test_kitti(tmp_path, capsys):
    rest = "1.5 1.6 3.9 -10.0 1.7 30.0 -1.2"
    (tmp_path / "label_2").mkdir()
    for number in range(10):
        picture(tmp_path / f"image_2/{number:06d}.png", (60, 40 + number))
        tops = {"Car": 6, "Van": 7, "DontCare": 6}
        lines = [f"{name} 0.00 0 1.55 5 {top} 25 {top + 10} {rest}\n" for name, top in tops.items()]
        (tmp_path / f"label_2/{number:06d}.txt").write_text("".join(lines))
    main = tool("tools/dataset_converters/kitti.py")
    paths = [tmp_path / "label_2", tmp_path / "image_2"]
    main([*paths, tmp_path / "out", "--val", 0.3])
    train, val = (json.loads((tmp_path / f"out/{part}.json").read_text()) for part in ("train", "val"))
    assert (len(train["images"]), len(val["images"])) == (7, 3)
    names = [{image["file_name"] for image in part["images"]} for part in (train, val)]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 10
    assert [(a["bbox"], a["iscrowd"]) for a in train["annotations"]] == [([5, 6, 20, 10], 0), ([5, 6, 20, 10], 1)] * 7
    assert train["categories"] == [{"id": 1, "name": "car"}]
    assert {a["image_id"] for a in val["annotations"]} == {image["id"] for image in val["images"]}
    assert "objects called 'Van' left out, not named by the class map: 10" in capsys.readouterr().out
    main([*paths, tmp_path / "same", "--val", 0.3])
    main([*paths, tmp_path / "other", "--val", 0.3, "--seed", 1, "--map", "Car=car", "Van=car"])
    same, other = (json.loads((tmp_path / f"{name}/val.json").read_text()) for name in ("same", "other"))
    assert same["images"] == val["images"] != other["images"]
    assert sum(not a["iscrowd"] for a in other["annotations"]) == 6
    with pytest.raises(UserError, match="a fraction of 0.01 of 10 pictures leaves one set empty"):
        main([*paths, tmp_path / "other", "--val", 0.01])


@pytest.mark.parametrize("corner, origin", [(0, 0), (1, 1)])
def test_sim10k(tmp_path, capsys, corner, origin):
    (tmp_path / "xml").mkdir()
    for number in range(4):
        picture(tmp_path / f"images/{number}.jpg")
        (tmp_path / f"xml/{number}.xml").write_text(voc((corner, corner, 30, 20)))
    tool("tools/dataset_converters/sim10k.py")([tmp_path / "xml", tmp_path / "images", tmp_path / "out", "--val", 0.25])
    train = json.loads((tmp_path / "out/train.json").read_text())
    assert len(train["images"]) == 3 and {tuple(a["bbox"]) for a in train["annotations"]} == {(0, 0, 30, 20)}
    out = capsys.readouterr().out
    assert f"pixels counted from {origin}" in out and f"VOC pixels counted from {origin}" in out


def draw_cityscapes(root, part="train", seed=0):
    """Scenes with overlapping instances, groups, stuff, and classes that are not evaluated."""
    rng = np.random.default_rng(seed)
    for city in ("aachen", "bochum"):
        for number in range(3):
            name = f"{city}_{number:06d}_000019"
            picture(root / f"leftImg8bit/{part}/{city}/{name}_leftImg8bit.png", (96, 64))
            ids = np.full((64, 96), 7, np.uint16)  # road
            for instance in (26000, 26001, 24000, 33002, 26, 24, 29000, 30001, 31000, 27, 5, 8, 32010, 28000, 25003):
                x, y = rng.integers(0, 80), rng.integers(0, 50)
                ids[y : y + rng.integers(1, 30), x : x + rng.integers(1, 40)] = instance
            ids[0, 0] = ids[63, 95] = 33002  # the visible parts of one bicycle lie apart
            path = root / f"gtFine/{part}/{city}/{name}_gtFine_instanceIds.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), ids)


def by_mmdet(root, part, monkeypatch) -> dict:
    """What mmdet's own converter writes; its table of labels comes from a package that is not installed here."""
    import mmdet

    Label = namedtuple("Label", ["name", "id", "hasInstances", "ignoreInEval"])
    things = [
        (24, "person"), (25, "rider"), (26, "car"), (27, "truck"), (28, "bus"), (29, "caravan"), (30, "trailer"),
        (31, "train"), (32, "motorcycle"), (33, "bicycle"),
    ]  # fmt: skip
    labels = [Label(name, number, True, name in ("caravan", "trailer")) for number, name in things]
    module = type(sys)("cityscapesscripts.helpers.labels")
    module.labels, module.id2label = labels, {label.id: label for label in labels}
    packages = [type(sys)(name) for name in ("cityscapesscripts", "cityscapesscripts.helpers")]
    packages[0].helpers, packages[1].labels = packages[1], module
    for package in packages:
        monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, "cityscapesscripts.helpers.labels", module)
    path = Path(mmdet.__file__).parent / ".mim/tools/dataset_converters/cityscapes.py"
    spec = importlib.util.spec_from_file_location("mmdet_cityscapes", path)
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    files = converter.collect_files(str(root / "leftImg8bit" / part), str(root / "gtFine" / part))
    return converter.cvt_annotations([converter.load_img_info(file) for file in files], str(root / "mmdet.json"))


def plain(coco) -> list:
    names = {category["id"]: category["name"] for category in coco["categories"]}
    pictures = {image["id"]: (image["file_name"], image["width"], image["height"]) for image in coco["images"]}
    return sorted(
        (pictures[a["image_id"]], names[a["category_id"]], tuple(a["bbox"]), a["area"], a["iscrowd"])
        for a in coco["annotations"]
    )


def test_cityscapes_as_mmdet_converts_it(tmp_path, monkeypatch, capsys):
    root = tmp_path / "cityscapes"
    draw_cityscapes(root)
    tool("tools/dataset_converters/cityscapes.py")([root, "--parts", "train"])
    coco = json.loads((root / "annotations/instancesonly_filtered_gtFine_train.json").read_text())
    reference = by_mmdet(root, "train", monkeypatch)
    assert plain(coco) == plain(reference) and len(coco["annotations"]) > 30
    assert coco["categories"] == reference["categories"]
    assert any(a["iscrowd"] for a in coco["annotations"])
    assert all(a["id"] for a in coco["annotations"])  # pycocotools takes 0 for "unmatched"; mmdet's file has one
    assert "taken for crowds" in capsys.readouterr().out


def make_foggy(root, part="train", density="0.02"):
    for path in sorted((root.parent / "cityscapes/leftImg8bit" / part).glob("*/*.png")):
        stem = path.name.removesuffix(".png")
        picture(root / "leftImg8bit_foggy" / part / path.parent.name / f"{stem}_foggy_beta_{density}.png", (96, 64))


def test_foggy_cityscapes(tmp_path):
    root, foggy_root = tmp_path / "cityscapes", tmp_path / "foggy_cityscapes"
    draw_cityscapes(root)
    main = tool("tools/dataset_converters/cityscapes.py")
    arguments = [root, "--parts", "train", "--foggy", "0.02"]
    with pytest.raises(UserError, match="6 of 6 foggy pictures are not in"):
        main(arguments)
    make_foggy(foggy_root)
    main(arguments)
    clear, fog = (
        json.loads((folder / "annotations/instancesonly_filtered_gtFine_train.json").read_text())
        for folder in (root, foggy_root)
    )
    assert fog["annotations"] == clear["annotations"]
    assert fog["images"][0]["file_name"] == "aachen/aachen_000000_000019_leftImg8bit_foggy_beta_0.02.png"
    assert all((foggy_root / "leftImg8bit_foggy/train" / image["file_name"]).is_file() for image in fog["images"])
    make_foggy(foggy_root, density="0.01")
    with pytest.raises(UserError, match="6 pictures of other densities than 0.02, .*Stage I reads the folder whole"):
        main(arguments)


@pytest.mark.parametrize(
    "lost", ["leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
             "gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png"]
)  # fmt: skip
def test_half_unpacked_cityscapes(tmp_path, lost):
    draw_cityscapes(tmp_path)
    (tmp_path / lost).unlink()
    main = tool("tools/dataset_converters/cityscapes.py")
    with pytest.raises(UserError, match="1 of 6 scenes .* the first is aachen/aachen_000000_000019; unpack both"):
        main([tmp_path, "--parts", "train"])
    with pytest.raises(UserError, match="no picture .*_leftImg8bit.png in the cities of"):
        main([tmp_path, "--parts", "val"])
