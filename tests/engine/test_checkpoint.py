"""Checkpoints: what is refused, what a detector takes over, what a resumed run keeps, which of a run is the newest."""

import logging
import math

import pytest
import torch
from mmcv.runner import EpochBasedRunner, save_checkpoint
from mmcv.utils import get_logger
from mmdet.datasets import CocoDataset

import ms2a.plugin  # noqa: F401
from ms2a.defaults import DETECTORS
from ms2a.engine.checkpoint import check_resumable, find_latest, load_weights, read_checkpoint
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


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Linear(2, 2)
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def train_step(self):
        """Mmcv's runner asks for one."""


def write(path, weights=None, optimizer=None, **meta):
    model = Tiny()
    state = model.state_dict() | (weights or {})
    momenta = {0: dict(momentum_buffer=torch.zeros(2, 2)), 1: {}} if optimizer is None else optimizer
    content = dict(meta=dict(epoch=1, iter=2, CLASSES=["part"]) | meta, state_dict=state)
    torch.save(content | dict(optimizer=dict(state=momenta, param_groups=[])), path)
    return path


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, value, dtype):
    weight = torch.zeros(2, 2, dtype=dtype)
    weight[1, 0] = value
    path = write(tmp_path / "a.pth", {"backbone.weight": weight})
    with pytest.raises(UserError, match="a.pth: 1 of the 4 numbers of backbone.weight are NaN or infinite"):
        read_checkpoint(path)
    for load in (load_weights, check_resumable):
        with pytest.raises(UserError, match="backbone.weight are NaN"):
            load(Tiny(), path, ["part"])


def test_a_memory_that_was_never_filled_is_no_damage_and_a_half_filled_one_is(tmp_path):
    name = "adapter.memory.memories.day.prototypes0"
    maps = torch.full((2, 2), math.nan)
    assert name in read_checkpoint(write(tmp_path / "a.pth", {name: maps}))["state_dict"]
    maps[0] = 1
    with pytest.raises(UserError, match="2 of the 4 numbers of .*prototypes0"):
        read_checkpoint(write(tmp_path / "a.pth", {name: maps}))


def test_what_training_goes_on_with_is_finite_too(tmp_path):
    bad = torch.full((2, 2), math.inf)
    path = write(tmp_path / "a.pth", {"ema_backbone_weight": bad})
    assert set(read_checkpoint(path)["state_dict"]) == set(Tiny().state_dict())  # nobody else uses it
    with pytest.raises(UserError, match="4 of the 4 numbers of ema_backbone_weight"):
        check_resumable(Tiny(), path, ["part"])
    path = write(tmp_path / "a.pth", optimizer={0: dict(exp_avg=bad)})
    with pytest.raises(UserError, match="of optimizer.state.0.exp_avg"):
        check_resumable(Tiny(), path, ["part"])
    check_resumable(Tiny(), write(tmp_path / "a.pth"), ["part"])


ODD = [
    dict(state_dict=[1]),
    dict(state_dict={}),
    dict(state_dict="text"),
    dict(state_dict={1: torch.zeros(1)}),
    dict(state_dict={"a": 1}),
    dict(state_dict={"a": torch.zeros(2, dtype=torch.complex64)}),
    dict(state_dict={"a": torch.zeros(2, 2).to_sparse()}),
    dict(state_dict=None),
    [],
    "text",
    torch.zeros(1),
    {},
    dict(meta=[1]),
    dict(meta="text"),
    dict(meta=dict(CLASSES=3)),
    dict(meta=dict(CLASSES=[1])),
    dict(meta=dict(CLASSES={"part": 0})),
]


@pytest.mark.parametrize("content", ODD)
def test_checkpoints_of_odd_structure_are_one_line(tmp_path, content):
    if isinstance(content, dict) and content:
        content = dict(meta={}, state_dict=Tiny().state_dict()) | content
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match="a.pth") as error:
        read_checkpoint(tmp_path / "a.pth")
    assert "\n" not in str(error.value)


def test_whole_numbers_are_not_taken_for_weights(tmp_path):
    path = write(tmp_path / "a.pth", {"backbone.weight": torch.zeros(2, 2, dtype=torch.long)})
    with pytest.raises(UserError, match="backbone.weight is torch.int64, expected torch.float32"):
        load_weights(Tiny(), path, ["part"])


@pytest.mark.parametrize("change", [dict(epoch="1"), dict(iter=-1), dict(epoch=None), dict(iter=True), dict(epoch=1.0)])
def test_counters_of_odd_kinds_are_one_line(tmp_path, change):
    with pytest.raises(UserError, match=f"meta.{next(iter(change))} is "):
        check_resumable(Tiny(), write(tmp_path / "a.pth", **change), ["part"])


@pytest.mark.parametrize("state", [[], None, "x", {"state": 3}, {"state": {}}, {"state": {}, "param_groups": 3}])
def test_an_optimizer_of_odd_structure_is_one_line(tmp_path, state):
    content = torch.load(write(tmp_path / "a.pth"), weights_only=True) | dict(optimizer=state)
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match="'optimizer' is no optimizer's state"):
        check_resumable(Tiny(), tmp_path / "a.pth", ["part"])


def resumed(path, caplog, make=torch.optim.SGD, frozen=(), **settings):
    """What is told when a run of SGD with lr 0.1 goes on with other settings."""
    first = Tiny()
    optimizer = torch.optim.SGD(first.backbone.parameters(), lr=0.1, momentum=0.9)
    save_checkpoint(first, str(path), optimizer, meta=dict(epoch=1, iter=2))
    model = Tiny()
    parameters = [value for name, value in model.named_parameters() if name not in frozen]
    runner = EpochBasedRunner(model, optimizer=make(parameters, **settings), logger=get_logger("mmdet"), max_epochs=2)
    caplog.clear()
    runner.resume(str(path))
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_optimizer_settings_that_a_resumed_run_does_not_take_are_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(get_logger("mmdet"), "propagate", True)
    assert resumed(tmp_path / "a.pth", caplog, lr=0.1, momentum=0.9) == []
    (line,) = resumed(tmp_path / "a.pth", caplog, lr=0.2, momentum=0.9)
    assert "keeps optimizer.lr=0.1, not the config's 0.2" in line and "load_from" in line
    for other in (dict(make=torch.optim.AdamW), dict(momentum=0.9, lr=0.1, frozen=["backbone.bias"])):
        with pytest.raises(UserError, match="another optimizer, or with other groups"):
            resumed(tmp_path / "a.pth", caplog, **other)
