"""A training that has failed is told in one line."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ms2a.engine.divergence import PATIENCE, DivergenceHook
from ms2a.errors import UserError


class Head(nn.Module):
    def forward(self, value):
        return ([value.clone()], [value + 1])


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.bbox_head = Head()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("ema_memory_prototypes0", torch.full((2,), math.nan))


@pytest.fixture
def runner(tmp_path):
    return SimpleNamespace(
        model=Detector(),
        outputs=dict(log_vars=dict(loss=1.0, loss_cls=0.5, num_pos=math.nan)),
        meta={},
        iter=6,
        epoch=1,
        work_dir=str(tmp_path),
        current_lr=lambda: [0.1, 1e30],
    )


def save(path, value):
    torch.save(dict(meta={}, state_dict=dict(weight=torch.tensor([value]))), path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_line_tells_iteration_part_rate_and_the_last_good_checkpoint(runner, tmp_path, value):
    hook = DivergenceHook()
    hook.after_train_iter(runner)
    runner.outputs["log_vars"] |= dict(loss=value, loss_iou=value)
    line = rf"in iteration 7, epoch 2: loss_iou is {value}, at a learning rate of 1e\+30; .*There is no checkpoint yet"
    with pytest.raises(UserError, match=line):
        hook.after_train_iter(runner)
    save(tmp_path / "epoch_1.pth", 1.0)
    save(tmp_path / "epoch_2.pth", math.nan)
    (tmp_path / "latest.pth").symlink_to("epoch_2.pth")
    with pytest.raises(UserError, match=r"Last good checkpoint: .*epoch_1\.pth$"):
        hook.after_train_iter(runner)


def test_predictions_are_looked_at_while_training_only(runner):
    hook, head = DivergenceHook(), runner.model.bbox_head
    hook.before_run(runner)
    head(torch.zeros(3))
    with pytest.raises(UserError, match="the detector's predictions are not finite"):
        head(torch.tensor([0.0, math.inf]))
    head.eval()
    head(torch.tensor([math.nan]))
    hook.after_run(runner)
    head.train()
    head(torch.tensor([math.nan]))


def test_a_loss_scaler_may_overflow_now_and_then_but_not_for_ever(runner):
    hook = DivergenceHook(scaled=True)
    hook.before_run(runner)
    runner.model.bbox_head(torch.tensor([math.inf]))
    with pytest.raises(UserError, match="predictions"):
        runner.model.bbox_head(torch.tensor([math.nan]))
    good, bad = dict(loss=1.0), dict(loss=math.inf, loss_obj=math.inf)
    for losses in [*[bad] * (PATIENCE - 1), good, *[bad] * (PATIENCE - 1)]:
        runner.outputs["log_vars"] = losses
        hook.after_train_iter(runner)
    with pytest.raises(UserError, match=f"loss_obj is inf {PATIENCE} times in a row, in float16"):
        hook.after_train_iter(runner)
    runner.outputs["log_vars"] = good
    runner.meta = dict(fp16=dict(loss_scaler=dict(scale=0.5)))
    hook.after_train_iter(runner)
    runner.meta["fp16"]["loss_scaler"]["scale"] = 2.0**-20
    with pytest.raises(UserError, match="the gradients overflow in float16 at any scale"):
        hook.after_train_iter(runner)


def test_weights_are_looked_at_before_they_are_saved(runner):
    hook = DivergenceHook()
    hook.after_train_epoch(runner)
    runner.model.weight.data[1] = math.nan
    with pytest.raises(UserError, match="the weight weight is not finite"):
        hook.after_train_epoch(runner)
