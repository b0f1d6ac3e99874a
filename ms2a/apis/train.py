"""Training through mmdet's runner: everything around it that a run needs to be checked, repeatable and resumable."""

import copy
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import torch
from mmcv import Config
from mmcv.runner import get_dist_info
from mmcv.utils.logging import logger_initialized
from mmdet.apis import set_random_seed, train_detector
from mmdet.datasets import build_dataset
from mmdet.models import build_detector
from mmdet.utils import get_root_logger
from torch import nn

from ms2a.apis.training_config import (
    config_name,
    for_runner,
    log_checkpoint_choice,
    recorded,
    settle_training,
    told_loggers,
    without_memory_files,
)
from ms2a.artefacts import provenance
from ms2a.datasets.image_cache import cache_images
from ms2a.engine.building import config_mistakes_told
from ms2a.engine.checkpoint import check_resumable, find_latest, load_weights
from ms2a.engine.console import libraries_print_into, show_what_people_need
from ms2a.engine.distributed import choose_device, init_distributed, only_one_run
from ms2a.engine.hooks import TRAINABLE_WHEN_FROZEN, freeze_all_but
from ms2a.errors import UserError
from ms2a.settled import config_text, write_config


def train(
    cfg: Config,
    work_dir: str | os.PathLike | None = None,
    device: str | None = None,
    seed: int | None = None,
    launcher: str = "none",
    validate: bool = True,
    resume_from: str | os.PathLike | None = None,
    auto_resume: bool = False,
    deterministic: bool = False,
    strict: bool = False,
) -> Path | None:
    """Trains the detector of a config.

    Args:
        cfg: from :func:`ms2a.config.load_config`; not changed.
        work_dir: for checkpoints, logs and the settled config; default: the config's, or ``work_dirs/<config name>``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; default: a GPU if there is one.
        seed: default: the config's, else 0.
        launcher: see :func:`ms2a.engine.distributed.init_distributed`.
        validate: evaluate during training as the config says.
        resume_from: go on from this checkpoint, with the state of optimizer, schedule and moving average.
        auto_resume: go on from the newest checkpoint in ``work_dir``, if there is one.
        deterministic: let cuDNN choose repeatable algorithms.
        strict: stop at an unreadable training image instead of skipping it with a warning.

    Returns:
        The last checkpoint; None if there is none, after no epoch at all.

    Raises:
        UserError: see :mod:`ms2a.engine.checkpoint`; also an unknown device, a class count that does not fit the head,
            a missing package for TensorBoard, another run in the same folder, a loss that is not finite, and whatever
            the data sets and the memory refuse.
    """
    torch_device = init_distributed(launcher, choose_device(device))
    settled = settle_training(cfg, work_dir, torch_device, seed, resume_from, auto_resume, strict)
    with only_one_run(settled.work_dir, "training"):
        _train(settled, bool(cfg.get("fp16")), launcher != "none", validate, deterministic)
    return find_latest(settled.work_dir)


def _train(settled: Config, wants_fp16: bool, distributed: bool, validate: bool, deterministic: bool) -> None:
    timestamp = time.strftime("%Y%m%d_%H%M%S")
    logger = _start_log(settled, timestamp)
    if wants_fp16 and not settled.get("fp16"):
        logger.info("fp16 is for GPUs: training on the CPU computes in float32")
    log_checkpoint_choice(settled, logger, validate)
    logger.info(told_loggers(settled))
    _prepare_process(settled, deterministic)
    quiet = nullcontext() if settled.get("verbose") else libraries_print_into(logger)
    with one_line_worker_errors(), config_mistakes_told(settled), quiet:
        dataset = build_dataset(settled.data.train)
        _cache_images(settled, dataset, logger)
        model = _build_model(settled, dataset.CLASSES, logger)
        meta, run_cfg = _meta(settled, dataset), for_runner(settled, len(dataset))
        train_detector(model, [dataset], run_cfg, distributed, validate, timestamp, meta)


@contextmanager
def one_line_worker_errors() -> Iterator[None]:
    """A UserError raised in a data loading worker arrives wrapped in a traceback; this unwraps it."""
    try:
        yield
    except UserError as error:
        lines = str(error).split("UserError: ")
        if len(lines) > 1 and lines[0].startswith("Caught UserError in DataLoader worker"):
            raise UserError(lines[-1].strip()) from None
        raise


def _remove_leftovers(work_dir: Path) -> None:
    """Removes the temporary files of a run that was killed while it wrote a checkpoint."""
    for path in work_dir.glob(".epoch_*.pth"):
        path.unlink()
    for path in work_dir.glob(".link.*"):
        shutil.rmtree(path)


def _start_log(cfg: Config, timestamp: str) -> logging.Logger:
    """A log of this run: mmcv keeps a process' first log file for all later runs."""
    Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
    if get_dist_info()[0] == 0:
        _remove_leftovers(Path(cfg.work_dir))
    logger = logging.getLogger("mmdet")
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)
    # mmcv writes what it says about initial weights to the first logger of this dictionary.
    others = {name: state for name, state in logger_initialized.items() if name != "mmdet"}
    logger_initialized.clear()
    path = Path(cfg.work_dir, f"{timestamp}.log")
    logger = get_root_logger(str(path), cfg.get("log_level", "INFO"))
    logger_initialized.update(others)
    if not cfg.get("verbose"):
        show_what_people_need(logger)
    _, world_size = get_dist_info()
    told = config_name(cfg), cfg.device, world_size, cfg.seed, path
    logger.info("%s on %s, %d process(es), seed %d; the full log: %s", *told)
    return logger


def _prepare_process(cfg: Config, deterministic: bool) -> None:
    if cfg.get("cudnn_benchmark"):
        torch.backends.cudnn.benchmark = True
    # Loader workers are forked from this process, which OpenCV's own threads don't survive.
    cv2.setNumThreads(cfg.get("opencv_num_threads", 0))
    set_random_seed(cfg.seed, deterministic)


def _cache_images(cfg: Config, dataset: Any, logger: logging.Logger) -> None:
    """Before the loader's workers are forked, which then share it."""
    if limit_mb := cfg.get("image_cache_mb", 0):
        # Each process of a distributed run has a cache of its own.
        cache = cache_images(dataset, limit_mb * 2**20 // get_dist_info()[1])
        size = cache.num_bytes / 2**20
        logger.info("image cache: room for %d images, %.0f MB of at most %d MB", cache.num_images, size, limit_mb)


def _build_model(cfg: Config, classes: Sequence[str], logger: logging.Logger) -> nn.Module:
    model_cfg = without_memory_files(cfg.model) if cfg.resume_from else copy.deepcopy(cfg.model)
    model = build_detector(model_cfg, train_cfg=cfg.get("train_cfg"), test_cfg=cfg.get("test_cfg"))
    model.CLASSES = list(classes)
    if model.bbox_head.num_classes != len(classes):
        raise UserError(
            f"the head has num_classes={model.bbox_head.num_classes}, the data set {len(classes)} classes "
            f"{list(classes)}; set model.bbox_head.num_classes={len(classes)}"
        )
    model.init_weights()
    if cfg.resume_from:
        check_resumable(model, cfg.resume_from, classes)
        logger.info("resuming from %s", cfg.resume_from)
    elif cfg.get("load_from"):
        load_weights(model, cfg.load_from, classes)
    else:
        logger.info("starting from random weights")
    # Shadow weights in a checkpoint belong to the moving average's hook, which loads them itself.
    model.register_load_state_dict_pre_hook(_drop_unknown_shadow_weights)
    # oneDNN's and cuDNN's convolutions are faster in this layout: a fifth of the training step on a CPU.
    model = model.to(memory_format=torch.channels_last)
    if cfg.get("freeze"):
        parts = TRAINABLE_WHEN_FROZEN if cfg["freeze"] is True else cfg["freeze"]
        parts = [parts] if isinstance(parts, str) else parts  # as --cfg-options gives a single one
        trained = freeze_all_but(model, parts)
        logger.info("frozen except %d tensors whose names contain %s", len(trained), " or ".join(parts))
    return model


def _drop_unknown_shadow_weights(model: nn.Module, state_dict: dict[str, Any], *_: Any) -> None:
    for name in [name for name in state_dict if name.startswith("ema_") and not hasattr(model, name)]:
        del state_dict[name]


def _meta(cfg: Config, dataset: Any) -> dict[str, Any]:
    """What a checkpoint says of its making: plain values only, so that it loads without running code."""
    config = recorded(cfg)
    if get_dist_info()[0] == 0:
        write_config(config, Path(cfg.work_dir, f"{config_name(cfg)}.py"))
    return dict(
        CLASSES=list(dataset.CLASSES),
        PALETTE=getattr(dataset, "PALETTE", None),
        config=config_text(config),
        exp_name=config_name(cfg),
        seed=cfg.seed,
        world_size=get_dist_info()[1],
        provenance=provenance(config_name(cfg), cfg.seed),
    )
