"""What annotation tools themselves write, read box by box. Installs the tools in a temporary folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ms2a.datasets.formats import read_annotations
from tests.tiny_annotations import boxes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

WRITERS = Path(__file__).parent / "writers"
QT = ["PyQt5==5.15.11", "PyQt5-sip==12.17.1", "PyQt5-Qt5==5.15.18"]
# Packages of each tool, without those that the tests' environment has, so that no version of those changes.
PACKAGES = {
    "supervision": ["supervision==0.31.2", "pydeprecate==0.9.0", "defusedxml==0.7.1", "requests", "urllib3", "idna",
                    "certifi", "charset-normalizer"],
    "labelimg": ["labelImg==1.8.6", "lxml", *QT],
    "labelme": ["labelme==6.3.1", "imgviz", "loguru", "natsort", "tifffile", "osam", "cmap", "scikit-image",
                "lazy-loader", "imageio", *QT],
}  # fmt: skip
FIVE_DIGITS = 333 * 1.5 * 5e-6  # pixels: rounding of centre and half the side, in the widest picture
ALL_OF_ITS_OWN = {"datumaro": ["datumaro==1.13.12"]}  # other versions of numpy, OpenCV and Pillow than here


@pytest.fixture(scope="module")
def run_writer(tmp_path_factory):
    """Runs a tool's writer on a folder, with the tool's packages."""
    installed, with_network = {}, dict(os.environ)  # tests themselves have none, see conftest.py

    def run(tool, root):
        if tool not in installed:
            installed[tool] = tmp_path_factory.mktemp(tool)
            pip = [sys.executable, "-m", "pip", "install", "-q", "--target", installed[tool]]
            alone = ["--no-deps"] if tool in PACKAGES else []
            subprocess.run([*pip, *alone, *(PACKAGES | ALL_OF_ITS_OWN)[tool]], check=True, env=with_network)
        environment = os.environ | {"PYTHONPATH": str(installed[tool]), "QT_QPA_PLATFORM": "offscreen"}
        subprocess.run([sys.executable, WRITERS / f"{tool}_writer.py", root], check=True, env=environment)

    return run


def make_truth(root, seed=0, inside=0, whole=True) -> dict:
    """Pictures of several sizes and endings, one without a box, one photo that is stored turned.

    Args:
        root: where to write ``images`` and ``truth.json``.
        seed: of the boxes.
        inside: distance of the boxes from the left and upper edge, in pixels.
        whole: boxes of whole pixels; else of hundredths.
    """
    rng = np.random.default_rng(seed)
    (root / "images").mkdir()
    pictures = {}
    for name, size_wh, orientation in (
        ("a.jpg", (60, 40), 1), ("b.png", (333, 217), 1), ("empty.jpg", (64, 64), 1), ("turned.jpg", (80, 50), 6),
    ):  # fmt: skip
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = size_wh if orientation == 1 else size_wh[::-1]
        Image.new("RGB", stored).save(root / "images" / name, exif=exif)
        pictures[name] = [] if name == "empty.jpg" else [random_box(rng, size_wh, inside, whole) for _ in range(20)]
    truth = {"classes": ["nut", "bolt"], "pictures": pictures, "rotated_box_in": "a.jpg"}
    (root / "truth.json").write_text(json.dumps(truth))
    return truth


def random_box(rng, size_wh, inside, whole) -> list:
    xs, ys = (sorted(rng.uniform(inside, side, 2)) for side in size_wh)
    x1, y1, x2, y2 = (float(np.floor(v) if whole else np.round(v, 2)) for v in (xs[0], ys[0], xs[1] + 2, ys[1] + 2))
    x2, y2 = min(x2, size_wh[0]), min(y2, size_wh[1])
    return [["nut", "bolt"][rng.integers(2)], [x1, y1, x2 - x1, y2 - y1]]


def assert_equal(coco, truth, tolerance, pictures=None):
    """Every picture, size, class and box as drawn."""
    expected = [(name, label, box) for name in sorted(truth["pictures"]) for label, box in truth["pictures"][name]]
    found = sorted(boxes_of(coco), key=lambda annotation: annotation[0])
    assert [item[:2] for item in found] == [item[:2] for item in expected]
    np.testing.assert_allclose([item[2] for item in found], [item[2] for item in expected], rtol=0, atol=tolerance)
    assert not any(item[3] for item in found)
    assert {image["file_name"] for image in coco["images"]} == set(pictures or truth["pictures"])


def test_supervision(tmp_path, run_writer):
    truth = make_truth(tmp_path)
    run_writer("supervision", tmp_path)
    for kind, tolerance in (("voc", 0), ("yolo", FIVE_DIGITS), ("coco", 0), ("labelme", 0)):
        coco, findings, found, _ = read_annotations(tmp_path / kind, tmp_path / "images")
        assert found == kind
        assert_equal(coco, truth, tolerance)
        if kind == "voc":
            assert any("VOC pixels counted from 1" in finding.what for finding in findings)
        read_by_supervision = json.loads((tmp_path / "read.json").read_text())["boxes"][kind]
        assert_equal(coco, {"pictures": read_by_supervision}, FIVE_DIGITS)


@pytest.mark.parametrize("inside", [0, 2])
def test_labelimg(tmp_path, run_writer, inside):
    truth = make_truth(tmp_path, inside=inside)
    run_writer("labelimg", tmp_path)
    # labelImg moves what touches the left or upper edge one pixel inwards.
    for boxes in truth["pictures"].values():
        for _, box in boxes:
            x2, y2 = box[0] + box[2], box[1] + box[3]
            box[:2] = max(box[0], 1), max(box[1], 1)
            box[2:] = x2 - box[0], y2 - box[1]
    voc, findings, *_ = read_annotations(tmp_path / "voc", tmp_path / "images")
    assert_equal(voc, truth, 0)
    assert any("VOC pixels counted from 0 (files of labelImg" in finding.what for finding in findings)
    yolo = read_annotations(tmp_path / "yolo", tmp_path / "images").coco
    assert_equal(yolo, truth, 1e-3)
    assert {(image["file_name"], image["width"], image["height"]) for image in voc["images"]} == {
        (image["file_name"], image["width"], image["height"]) for image in yolo["images"]
    }


def test_labelme(tmp_path, run_writer):
    make_truth(tmp_path)
    rng = np.random.default_rng(1)
    shapes = {}
    for name, size_wh in (("a.jpg", (60, 40)), ("turned.jpg", (80, 50)), ("empty.jpg", (64, 64))):
        middle = np.array(size_wh) / 2
        points = [(middle + rng.uniform(-15, 15, 2)).round(2).tolist() for _ in range(30)]
        shapes[name] = [] if name == "empty.jpg" else [
            *({"label": "nut", "shape_type": "rectangle", "points": [points[i], points[i + 10]]} for i in range(10)),
            *({"label": "bolt", "shape_type": "polygon", "points": points[i : i + 5]} for i in range(10)),
            *({"label": "bolt", "shape_type": "oriented_rectangle", "points": points[i : i + 4]} for i in range(3)),
            {"label": "nut", "shape_type": "circle", "points": [middle.tolist(), (middle + (3, 4)).tolist()]},
            {"label": "nut", "shape_type": "mask", "points": [[5, 6], [24, 15]]},
        ]  # fmt: skip
    (tmp_path / "shapes.json").write_text(json.dumps(shapes))
    run_writer("labelme", tmp_path)
    coco, findings, kind, _ = read_annotations(tmp_path / "labelme", tmp_path / "images")
    assert kind == "labelme"
    by_labelme = json.loads((tmp_path / "read.json").read_text())["boxes"]
    # Labelme's masks hold every pixel that a shape touches, those of its corners included.
    assert_equal(coco, {"pictures": by_labelme}, 2)
    assert boxes_of(coco)[-1][2] == (5, 6, 20, 10)
    assert any("put in order" in finding.what for finding in findings)
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in coco["images"]}
    assert sizes == {"a.jpg": (60, 40), "turned.jpg": (80, 50), "empty.jpg": (64, 64)}


def test_datumaro(tmp_path, run_writer):
    truth = make_truth(tmp_path, whole=False)
    run_writer("datumaro", tmp_path)
    with_boxes = [name for name, boxes in truth["pictures"].items() if boxes]
    kinds = {
        "kitti_detection": ("kitti", 1e-4, with_boxes),  # no file for a picture without a box
        "voc_detection": ("voc", 0.011, with_boxes),
        "yolo": ("yolo", FIVE_DIGITS, None),
        "coco_instances": ("coco", 1e-4, None),
        "cvat": ("cvat", 0.011, None),
    }
    for folder, (kind, tolerance, pictures) in kinds.items():
        if kind == "cvat":
            truth["pictures"]["a.jpg"].append(["nut", [25, 10, 10, 20]])  # drawn 20 wide, 10 high, turned by 90°
        coco, findings, found, _ = read_annotations(tmp_path / folder, tmp_path / "images")
        assert found == kind
        assert_equal(coco, truth, tolerance, pictures)
        if kind == "voc":
            assert any("VOC pixels counted from 0" in finding.what for finding in findings)
            names = (tmp_path / folder / "ImageSets/Main/train.txt").read_text().split()
            listed = read_annotations(tmp_path / folder, tmp_path / "images", listed=names).coco
            assert_equal(listed, truth, tolerance)
