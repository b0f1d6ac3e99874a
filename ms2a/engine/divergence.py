"""A training that has failed: its loss or its predictions are no numbers any more. Told at once, in one line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook
from torch import Tensor, nn

from ms2a.engine.checkpoint import find_latest, read_checkpoint
from ms2a.engine.sound_weights import weights_not_finite
from ms2a.errors import UserError

# Under fp16 the scaler leaves out a step whose gradients overflow and halves its factor, from 65,536 at the start.
PATIENCE = 20
SMALLEST_SCALE = 1e-3


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Stops a training whose loss, predictions or weights are NaN or infinite.

    mmdet would go on, or stop in SimOTA with a message that blames memory. The losses are numbers already when this
    looks at them. The predictions are looked at just before SimOTA waits for them anyway.

    Args:
        scaled: fp16 with a loss scaler, which survives single overflows.
    """

    def __init__(self, scaled: bool = False):
        self.scaled = scaled
        self._overflows = 0
        self._handle: Any = None

    def before_run(self, runner) -> None:
        """Looks at what the head gives from now on."""
        model = _unwrapped(runner.model)
        if isinstance(head := getattr(model, "bbox_head", None), nn.Module):
            self._handle = head.register_forward_hook(lambda head, _, output: self._look(runner, head, output))

    def after_run(self, runner) -> None:
        """Looks no more."""
        if self._handle is not None:
            self._handle.remove()

    def _look(self, runner, head: nn.Module, output: Any) -> None:
        if head.training:
            # NaN alone under fp16: an infinite logit there is a probability of 1.
            bad = torch.isnan if self.scaled else _not_finite
            maps = [bad(level).any() for level in _tensors(output)]
            if maps and torch.stack(maps).any():
                raise self._failure(runner, "the detector's predictions are not finite")

    def after_train_iter(self, runner) -> None:
        """Looks at the losses of an iteration, before the weights take its step."""
        losses = runner.outputs["log_vars"] if isinstance(runner.outputs, dict) else {}
        bad = {name: value for name, value in losses.items() if "loss" in name and not abs(value) < float("inf")}
        self._overflows = self._overflows + 1 if bad else 0
        if bad and (not self.scaled or self._overflows >= PATIENCE):
            parts = {name: value for name, value in bad.items() if name != "loss"} or bad
            times = f" {PATIENCE} times in a row, in float16" if self.scaled else ""
            told = ", ".join(f"{name} is {value}" for name, value in parts.items())
            raise self._failure(runner, told + times)
        scale = (runner.meta or {}).get("fp16", {}).get("loss_scaler", {}).get("scale", 1.0)
        if self.scaled and scale < SMALLEST_SCALE:
            raise self._failure(runner, f"the gradients overflow in float16 at any scale, the last is {scale:g}")

    def after_train_epoch(self, runner) -> None:
        """Looks at the weights, before they are saved."""
        if name := weights_not_finite(_unwrapped(runner.model).state_dict()):
            raise self._failure(runner, f"the weight {name} is not finite")

    def _failure(self, runner, what: str) -> UserError:
        rates = runner.current_lr()
        rates = [rate for group in (rates.values() if isinstance(rates, dict) else [rates]) for rate in group]
        return UserError(
            f"training has failed in iteration {runner.iter + 1}, epoch {runner.epoch + 1}: {what}, at a learning rate "
            f"of {max(rates):g}; lower it (optimizer.lr), or clip gradients (optimizer_config.grad_clip). "
            f"{_last_good(runner.work_dir)}"
        )


def _last_good(work_dir: str) -> str:
    """The newest checkpoint with finite weights."""
    latest = find_latest(work_dir)
    older = sorted(Path(work_dir).glob("epoch_*.pth"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [latest, *older] if latest else older:
        try:
            read_checkpoint(path)
        except UserError:
            continue
        return f"Last good checkpoint: {path}"
    return "There is no checkpoint yet"


def _not_finite(level: Tensor) -> Tensor:
    return ~torch.isfinite(level)


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output.detach()]
    return [found for part in output for found in _tensors(part)] if isinstance(output, Sequence) else []


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_module_wrapper(model) else model
