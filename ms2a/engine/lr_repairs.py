"""The repairs of mmcv's and mmdet's learning rates, which ``ms2a.engine.compat`` applies."""

import functools
from typing import Any

from mmcv.runner import LrUpdaterHook
from mmdet.core.hook.yolox_lrupdater_hook import YOLOXLrUpdaterHook


def anneal_yolox_lr_over_no_epochs() -> None:
    """Mmdet's YOLOX lr hook divides by zero when the warm-up and the last epochs leave nothing between them."""
    original = YOLOXLrUpdaterHook.get_lr

    @functools.wraps(original)
    def get_lr(self: YOLOXLrUpdaterHook, runner: Any, base_lr: float) -> float:
        progress, end = (runner.epoch, runner.max_epochs) if self.by_epoch else (runner.iter, runner.max_iters)
        fixed_from = end - len(runner.data_loader) * self.num_last_epochs
        if progress + 1 < fixed_from <= self.warmup_iters:
            # Still warming up: the warm-up scales the rate from which annealing would start.
            return base_lr
        return original(self, runner, base_lr)

    YOLOXLrUpdaterHook.get_lr = get_lr


def take_no_epochs_to_warm_up_for_no_warm_up() -> None:
    """Mmcv's lr hooks refuse ``warmup_iters=0`` beside a kind of it, which a recipe's ``warmup_epochs=0`` gives."""
    original = LrUpdaterHook.__init__

    @functools.wraps(original)
    def init(self: LrUpdaterHook, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **(kwargs | {"warmup": None} if kwargs.get("warmup_iters") == 0 else kwargs))

    LrUpdaterHook.__init__ = init
