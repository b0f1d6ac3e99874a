import pytest
import torch
from mmcv.runner import build_optimizer
from torch import nn

from ms2a.engine.optimizer import PlainNormConstructor


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.residual = nn.Parameter(torch.zeros(2))


def groups(model, **paramwise):
    config = dict(type="SGD", lr=1.0, weight_decay=0.5, constructor=PlainNormConstructor.__name__)
    if paramwise:
        config["paramwise_cfg"] = paramwise
    optimizer = build_optimizer(model, config)
    group_of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    return {
        name: (group_of[id(parameter)]["lr"], group_of[id(parameter)]["weight_decay"])
        for name, parameter in model.named_parameters()
    }


def test_a_custom_key_changes_the_learning_rate_and_brings_no_decay_back():
    rules = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, custom_keys=dict(backbone=dict(lr_mult=0.1)))
    assert groups(Tiny(), **rules) == {
        "residual": (1.0, 0.5),
        "backbone.0.weight": (0.1, 0.5),
        "backbone.0.bias": (0.1, 0.0),
        "backbone.1.weight": (0.1, 0.0),
        "backbone.1.bias": (0.1, 0.0),
        "head.0.weight": (1.0, 0.5),
        "head.0.bias": (1.0, 0.0),
        "head.1.weight": (1.0, 0.0),
        "head.1.bias": (1.0, 0.0),
    }


def test_norm_and_bias_have_their_own_rules():
    found = groups(Tiny(), norm_decay_mult=0.2, custom_keys=dict(backbone=dict(lr_mult=0.1)))
    assert found["backbone.0.bias"] == pytest.approx((0.1, 0.5))
    assert found["backbone.1.bias"] == pytest.approx((0.1, 0.1))


def test_without_rules_all_parameters_share_one_setting():
    assert set(groups(Tiny()).values()) == {(1.0, 0.5)}


def test_parameters_of_equal_settings_are_one_group():
    rules = dict(norm_decay_mult=0.0, custom_keys=dict(backbone=dict(lr_mult=0.1)))
    config = dict(type="SGD", lr=1.0, weight_decay=0.5, constructor=PlainNormConstructor.__name__, paramwise_cfg=rules)
    found = build_optimizer(Tiny(), config).param_groups
    # Backbone and the rest, each with and without decay.
    assert sorted((group["lr"], group["weight_decay"], len(group["params"])) for group in found) == [
        (0.1, 0.0, 2),
        (0.1, 0.5, 2),
        (1.0, 0.0, 2),
        (1.0, 0.5, 3),
    ]
