"""Detectors that learn four pictures by heart: what is trained, stored, read, tested, exported and drawn fits together.

Pictures are larger than what the network sees, lying and upright. Both domains show the same pictures with the names of
the two classes exchanged, so that only the memory of its domain tells a detector of stage II what a picture shows.
"""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmcv import Config
from pycocotools.coco import COCO
from torchvision.ops import box_iou

from ms2a import Detector
from ms2a.apis.export import export_onnx
from ms2a.apis.inference import infer
from ms2a.apis.test import draw, evaluate, test
from ms2a.apis.train import train
from ms2a.config import load_config
from ms2a.datasets.boxes import as_xyxy
from tests.tiny import make_coco, make_config, make_memory

pytestmark = pytest.mark.slow

CLASSES = ("nut", "bolt")
SIZES_HW = [(128, 192), (150, 110), (100, 180), (140, 100)]
# What is left of the tiny config's training pipeline.
FINISH = ("RandomFlip", "FitResize", "Pad", "FilterAnnotations", "DefaultFormatBundle", "Collect")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums in one order, whatever the machine: sixteen epochs leave little room for another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same four pictures in ``day`` and ``night``, the classes of the latter exchanged."""
    folder = tmp_path_factory.mktemp("overfitting")
    make_coco(folder / "day", 4, SIZES_HW, CLASSES, seed=152)  # six boxes, apart, none of them thin
    shutil.copytree(folder / "day", folder / "night")
    content = json.loads((folder / "day/annotations.json").read_text())
    for annotation in content["annotations"]:
        annotation["category_id"] = 3 - annotation["category_id"]
    (folder / "night/annotations.json").write_text(json.dumps(content))
    return folder


def learning_config(path, data, repeat, epochs, lr, memory=None, load_from=None):
    """Writes a tiny config of one size without augmentation, whose epochs show each picture ``repeat`` times."""
    cfg = Config.fromfile(str(make_config(path, data, CLASSES, memory, load_from=load_from)))
    pipeline = [step for step in cfg.data.train.pipeline if step.type in FINISH]
    pipeline[0].flip_ratio = 0.0
    domains = cfg.data.train.get("domains") or [dict(dataset=cfg.data.train.dataset)]
    domains = [dict(domain, times=repeat) for domain in domains]
    cfg.data.train = dict(type="CrossDomainMixDataset", domains=domains, pipeline=pipeline)
    cfg.data.samples_per_gpu = 4
    cfg.model.random_size_range = (2, 2)
    cfg.optimizer = dict(type="AdamW", lr=lr, weight_decay=0.0)  # faster than the recipes' SGD here
    cfg.runner.max_epochs = epochs
    cfg.custom_hooks[0].num_last_epochs = epochs // 2  # with the L1 loss
    cfg.log_config.interval = 1000
    path.write_text(cfg.pretty_text)
    return path


def learn(config, work_dir):
    cfg = load_config(config)
    checkpoint = train(cfg, work_dir=work_dir, device="cpu", validate=False)
    tested = test(cfg, checkpoint, device="cpu")
    return checkpoint, evaluate(tested), tested


@pytest.fixture(scope="module")
def base(folder):
    return learn(learning_config(folder / "base.py", folder, repeat=25, epochs=16, lr=0.003), folder / "base")


@pytest.fixture(scope="module")
def stage_two(folder, base):
    memory = make_memory(folder)
    config = learning_config(folder / "two.py", folder, 12, 10, 0.005, memory, load_from=str(base[0]))
    return learn(config, folder / "two")


def test_a_base_detector_learns_four_pictures(base):
    scores = base[1]
    assert scores["day_bbox_mAP_50"] > 0.9
    assert scores["night_bbox_mAP_50"] < 0.1  # the same pictures, where the classes are exchanged


def test_in_stage_two_only_the_memory_tells_the_domains_apart(stage_two):
    scores = stage_two[1]
    assert scores["day_bbox_mAP_50"] > 0.9 and scores["night_bbox_mAP_50"] > 0.9


@pytest.mark.parametrize("run", ["base", "two"])
def test_every_loss_is_positive_and_falls(folder, base, stage_two, run):
    lines = [json.loads(line) for line in next((folder / run).glob("*.log.json")).read_text().splitlines()]
    epochs = [line for line in lines if line.get("mode") == "train"]
    names = {name for name in epochs[-1] if name.startswith("loss")}
    assert names == {"loss", "loss_cls", "loss_bbox", "loss_obj", "loss_l1"} | (
        {"loss_foreground"} if run == "two" else set()
    )
    for name in names:
        values = [epoch[name] for epoch in epochs if name in epoch]  # the L1 loss is there in the later half only
        assert min(values) > 0 and np.mean(values[-3:]) < 0.8 * values[0], name


def objects(coco, image_id):
    """Boxes (N, 4) x1 y1 x2 y2 and class names."""
    found = coco.imgToAnns[image_id]
    boxes = np.float32([as_xyxy(item["bbox"]) for item in found]).reshape(-1, 4)
    return boxes, [coco.cats[item["category_id"]]["name"] for item in found]


def assert_found(boxes, names, truth):
    """The strongest detection at the place of each object bears its name."""
    overlaps = box_iou(torch.from_numpy(truth[0]), torch.from_numpy(np.float32(boxes)))
    for row, name in zip(overlaps, truth[1], strict=True):
        assert row.max() > 0.5 and names[int((row > 0.5).int().argmax())] == name


@pytest.mark.parametrize("kind", ["pytorch", "onnx"])
@pytest.mark.parametrize("domain", ["day", "night"])
def test_the_detector_finds_each_object_in_its_picture(folder, stage_two, domain, kind):
    weights = stage_two[0]
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        weights = folder / f"{domain}.onnx"
        export_onnx(load_config(folder / "two.py"), stage_two[0], weights, domain)
    detector = Detector(folder / "two.py", weights, device="cpu")
    truth = COCO(str(folder / domain / "annotations.json"))
    paths = [folder / domain / "images" / image["file_name"] for image in truth.imgs.values()]
    for image_id, result in zip(truth.imgs, detector(paths, domain=domain, score_thr=0.3), strict=True):
        assert_found(result.boxes_xyxy, result.names, objects(truth, image_id))
        blank = result.draw(score_thr=1.1)
        scale = blank.shape[0] / result.size_hw[0]
        changed = np.flatnonzero((result.draw() != blank).any((0, 2))) / scale
        edges = result.boxes_xyxy[:, [0, 2]]
        assert abs(changed.min() - edges.min()) < 3  # lines and labels start at the leftmost box


def test_what_a_test_writes_and_draws_lies_in_pixels_of_the_pictures(folder, stage_two, tmp_path):
    checkpoint, _, tested = stage_two
    draw(tested, tmp_path, score_thr=0.3)
    detector = Detector(folder / "two.py", checkpoint, device="cpu")
    for domain in ("day", "night"):
        truth = COCO(str(folder / domain / "annotations.json"))
        results = [item for item in tested.coco_results() if item["domain"] == domain]
        found = truth.loadRes(sorted(results, key=lambda item: -item["score"]))
        for image in truth.imgs.values():
            assert_found(*objects(found, image["id"]), objects(truth, image["id"]))
            drawn = cv2.imread(str(tmp_path / domain / image["file_name"]))
            expected = detector(folder / domain / "images" / image["file_name"], domain).draw(score_thr=0.3)
            assert drawn.shape == expected.shape and (drawn != expected).mean() < 0.01


def test_what_is_written_lies_in_pixels_of_the_pictures(folder, stage_two, tmp_path):
    infer(load_config(folder / "two.py"), stage_two[0], tmp_path, device="cpu", score_thr=0.3)
    written = COCO(str(tmp_path / "detections.json"))
    for domain in ("day", "night"):
        truth = COCO(str(folder / domain / "annotations.json"))
        ids = {image["file_name"]: image["id"] for image in truth.imgs.values()}
        images = [image for image in written.imgs.values() if image["domain"] == domain]
        assert len(images) == len(ids)
        for image in images:
            name = image["file_name"].removeprefix(f"{domain}/")
            assert_found(*objects(written, image["id"]), objects(truth, ids[name]))
