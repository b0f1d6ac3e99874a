"""What a person sees of a training: a bar with loss and time left, one line an epoch. The log file has everything."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmcv
from mmcv.runner import HOOKS, Hook
from tqdm import tqdm

from ms2a.progress import Progress

PACKAGE = Path(__file__).resolve().parents[1]

logger = logging.getLogger("mmdet")
_bars: list[Progress] = []


def progress(total: int, **kwargs: Any) -> Progress:
    """A bar, or lines, that :func:`libraries_print_into` closes at the latest.

    Args:
        total: steps of the whole.
        **kwargs: as for tqdm, e.g. ``desc``, ``unit``, ``initial``.
    """
    bar = Progress(total=total, leave=False, **kwargs)
    _bars.append(bar)
    return bar


class _EvaluationBar:
    """Stands in for mmcv's bar, which would write over the training's."""

    def __init__(self, task_num: int = 0, **_: Any) -> None:
        self._bar = progress(task_num, desc="evaluating", unit="image")

    def update(self, num_tasks: int = 1) -> None:
        self._bar.update(num_tasks)
        if self._bar.n >= self._bar.total:
            self._bar.close()


class _ForPeople(logging.Filter):
    """Lets pass what this package says, and warnings of anybody."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or PACKAGE in Path(record.pathname).resolve().parents


class _ConsoleHandler(logging.Handler):
    """Writes above an open bar."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        tqdm.write(prefix + self.format(record), file=sys.stderr)


def show_what_people_need(logger: logging.Logger) -> None:
    """Lets the logger's console show warnings and this package's own lines; its file gets everything.

    Args:
        logger: one that mmcv has set up.
    """
    for handler in list(logger.handlers):
        if type(handler) is logging.StreamHandler:
            logger.removeHandler(handler)
            console = _ConsoleHandler(handler.level)
            console.addFilter(_ForPeople())
            logger.addHandler(console)


@contextlib.contextmanager
def libraries_print_into(logger: logging.Logger) -> Iterator[None]:
    """While it lasts, what libraries print goes to the logger's file, and mmcv's bars are drawn by :func:`progress`."""
    files = [handler.stream for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
    stock = mmcv.ProgressBar
    mmcv.ProgressBar = _EvaluationBar
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(files[0] if files else nowhere):
            yield
    finally:
        mmcv.ProgressBar = stock
        while _bars:
            _bars.pop().close()


@HOOKS.register_module()
class ConsoleHook(Hook):
    """Draws the training's bar and says one line an epoch: losses, time, and the scores where it was evaluated.

    No subclass of mmcv's ``LoggerHook``: each of those averages the runner's one buffer over an interval of its own,
    which would change what the text log says. Register it behind the evaluation and before the other loggers, which
    empty that buffer.
    """

    def before_run(self, runner) -> None:
        """Opens the bar, at the iteration from which a resumed run goes on."""
        self._bar = None
        if runner.rank == 0:
            self._bar = progress(runner.max_iters, initial=runner.iter, desc="training")

    def before_train_epoch(self, runner) -> None:
        """Starts the means anew."""
        self._sums: dict[str, float] = {}
        self._start = time.monotonic()
        if self._bar is not None:
            self._bar.set_description(f"epoch {runner.epoch + 1}/{runner.max_epochs}", refresh=False)

    def after_train_iter(self, runner) -> None:
        """Moves the bar and shows this iteration's loss."""
        if self._bar is None:
            return
        values = runner.outputs["log_vars"]
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._bar.set_postfix_str(f"loss {values['loss']:.3f}", refresh=False)
        self._bar.update()

    def after_train_epoch(self, runner) -> None:
        """Says the epoch's line."""
        if self._bar is None:
            return
        means = {name: value / (runner.inner_iter + 1) for name, value in self._sums.items()}
        parts = [f"{name.removeprefix('loss_')} {value:.3f}" for name, value in means.items() if name != "loss"]
        text = f"epoch {runner.epoch + 1}/{runner.max_epochs}: loss {means['loss']:.3f} ({', '.join(parts)})"
        text += f", {time.monotonic() - self._start:.0f} s"
        for key, score in runner.log_buffer.output.items():
            if key.endswith("bbox_mAP"):
                text += f"; {key.removesuffix('bbox_mAP').replace('_', ' ')}mAP {100 * score:.1f}"
        logger.info(text)

    def after_run(self, runner) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
