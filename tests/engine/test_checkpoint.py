"""Which checkpoint of a run is the newest, and what a detector takes over of other weights."""

import logging

import pytest
import torch
from mmdet.datasets import CocoDataset

from ms2a.defaults import DETECTORS
from ms2a.engine.checkpoint import find_latest, load_weights
from ms2a.engine.sizes import size_of_model, size_of_weights
from ms2a.errors import UserError
from tests.yolox_files import build, detector_of


def test_the_newest_checkpoint_is_the_link_or_that_of_the_highest_epoch(tmp_path):
    assert find_latest(tmp_path) is None and find_latest(tmp_path / "nowhere") is None
    for name in ("epoch_9.pth", "epoch_10.pth", "epoch_2.pth", "epoch_best.pth", "best_epoch_12.pth"):
        (tmp_path / name).touch()
    assert find_latest(tmp_path) == tmp_path / "epoch_10.pth"  # where links cannot be made, or one was lost
    (tmp_path / "latest.pth").symlink_to("epoch_9.pth")
    assert find_latest(tmp_path) == tmp_path / "latest.pth"


def class_layers(model):
    return [layer for layer in model.bbox_head.multi_level_conv_cls]


def test_class_layers_of_the_same_names_are_taken_over_and_the_others_start_anew(tmp_path, caplog):
    coco = list(CocoDataset.CLASSES)
    theirs = detector_of("nano", len(coco))
    torch.save(dict(meta=dict(CLASSES=tuple(coco)), state_dict=theirs.state_dict()), tmp_path / "coco.pth")
    model = detector_of("nano", 4, seed=5)
    fresh = [layer.weight.clone() for layer in class_layers(model)]
    with caplog.at_level(logging.WARNING, "mmdet"):
        load_weights(model, tmp_path / "coco.pth", ["Traffic_Light", "gear", "person", "card"])
    told = "on 80 classes; the class layers of Traffic_Light, person are taken over, those of gear, card start anew"
    assert told in caplog.text and len(caplog.messages) == 1
    for own, their, before in zip(class_layers(model), class_layers(theirs), fresh, strict=True):
        for row, name in ((0, "traffic light"), (2, "person")):
            assert torch.equal(own.weight[row], their.weight[coco.index(name)])
            assert own.bias[row] == their.bias[coco.index(name)]
        assert torch.equal(own.weight[[1, 3]], before[[1, 3]])
    stem = "backbone.stem.conv.conv.weight"
    assert torch.equal(model.state_dict()[stem], theirs.state_dict()[stem])


def test_the_same_classes_in_another_order_are_all_taken_over(tmp_path, caplog):
    theirs, model = detector_of("nano", 2), detector_of("nano", 2, seed=5)
    torch.save(dict(meta=dict(CLASSES=["nut", "bolt"]), state_dict=theirs.state_dict()), tmp_path / "two.pth")
    load_weights(model, tmp_path / "two.pth", ["bolt", "nut"])
    for own, their in zip(class_layers(model), class_layers(theirs), strict=True):
        assert torch.equal(own.weight, their.weight.flip(0)) and torch.equal(own.bias, their.bias.flip(0))


def test_weights_of_another_size_are_named(tmp_path):
    torch.save(dict(state_dict=detector_of("tiny").state_dict()), tmp_path / "tiny.pth")
    with pytest.raises(UserError, match=r"tiny.pth is of size tiny, the detector of size nano; give detector=tiny or"):
        load_weights(detector_of("nano"), tmp_path / "tiny.pth", list("abc"))
    torch.save(dict(model=detector_of("nano").state_dict()), tmp_path / "yolox.pth")
    with pytest.raises(UserError, match="holds no weights: .*; one of the YOLOX project: ms2a convert yolox"):
        load_weights(detector_of("nano"), tmp_path / "yolox.pth", list("abc"))


def test_every_size_is_known_by_its_weights_and_by_its_config():
    for size in DETECTORS:
        with torch.device("meta"):
            cfg, model = build(size)
        assert size_of_weights(model.state_dict()) == size_of_model(cfg.model) == size
    assert size_of_model(dict(backbone=dict(cfg.model.backbone, widen_factor=0.7))) is None
    assert size_of_model({}) is None and size_of_weights({}) is None
