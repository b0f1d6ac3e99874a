"""The config of a training, settled once before anything is built, and what the runner gets of it."""

import copy
import logging
import os
from importlib.util import find_spec
from pathlib import Path

import torch
from mmcv import Config
from mmcv.runner import get_dist_info

from ms2a.config_schema import check_training_settings
from ms2a.datasets.config_edits import allow_batches, make_strict
from ms2a.engine.checkpoint import find_latest
from ms2a.errors import UserError

# What COCO's evaluation gives for each domain.
SCORES = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
# Hooks that follow from the rest of a config. A recorded config has them already.
OWN_HOOKS = ("EpochSeedHook", "DivergenceHook", "FrozenBatchNormHook", "ConsoleHook")
CSV, TENSORBOARD = "CsvLoggerHook", "TensorboardLoggerHook"


def settle_training(
    cfg: Config,
    work_dir: str | os.PathLike | None,
    device: torch.device,
    seed: int | None,
    resume_from: str | os.PathLike | None,
    auto_resume: bool,
    strict: bool,
) -> Config:
    """A copy of a config in which everything is decided that depends on the call, the device and on each other.

    Args:
        cfg: from :func:`ms2a.config.load_config`; not changed.
        work_dir: see :func:`ms2a.apis.train.train`, as ``seed``, ``resume_from``, ``auto_resume`` and ``strict``.
        device: where the training runs.
        seed: of the run.
        resume_from: a checkpoint.
        auto_resume: whether to look for a checkpoint.
        strict: whether to stop at an unreadable image.

    Raises:
        UserError: the config lacks what a training needs, or asks for TensorBoard, which is not installed.
    """
    check_training_settings(cfg._cfg_dict, cfg.filename)
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(work_dir or cfg.get("work_dir") or Path("work_dirs", config_name(cfg)))
    cfg.seed = seed if seed is not None else cfg.get("seed") or 0
    cfg.device, cfg.gpu_ids = device.type, [device.index or 0]
    cfg.resume_from = _resume_from(cfg, resume_from, auto_resume)
    cfg.auto_resume = False  # resolved
    cfg.setdefault("log_level", "INFO")
    if cfg.get("evaluation", {}) is None:
        cfg.pop("evaluation")
    if device.type == "cpu":
        cfg.pop("fp16", None)
    # None: workers draw their seeds from the main process, which EpochSeedHook seeds.
    cfg.data.train_dataloader.setdefault("seed", None)
    if cfg.data.get("val"):
        allow_batches(cfg.data.val, cfg.data.val_dataloader)
    if strict:
        make_strict(cfg.data.train)
    cfg.custom_hooks = _hooks(cfg)
    _add_loggers(cfg)
    return cfg


def for_runner(cfg: Config, num_images: int) -> Config:
    """What mmdet's runner gets of a settled config: weights are loaded already, and each epoch logs a line.

    Args:
        cfg: the settled config; not changed.
        num_images: of an epoch. mmcv counts the interval of its log anew in each.
    """
    cfg = copy.deepcopy(cfg)
    cfg.load_from = None
    batch = cfg.data.train_dataloader.get("samples_per_gpu", 1) * get_dist_info()[1]
    cfg.log_config.interval = min(cfg.log_config.get("interval", 50), -(-num_images // batch))
    return cfg


def recorded(cfg: Config) -> Config:
    """A copy of a settled config that trains the same again, from the beginning."""
    cfg = copy.deepcopy(cfg)
    cfg.resume_from = None
    return cfg


def without_memory_files(model: Config) -> Config:
    """A copy of a detector's config for a checkpoint, which holds the memory: its files need not be there any more."""
    model = copy.deepcopy(model)
    if model.get("adapter"):
        model.adapter.memory.files = None
    if model.get("style"):
        model.style.file = None
    for alignment in model.get("alignment") or ():
        if alignment.get("to_memory"):
            alignment.to_memory.files = None
    return model


def log_checkpoint_choice(cfg: Config, logger: logging.Logger, validate: bool) -> None:
    """Says by which labels the best checkpoint is chosen.

    Raises:
        UserError: ``evaluation.save_best`` is no score that the validation gives.
    """
    key = cfg.get("evaluation", {}).get("save_best") if validate else None
    if not key:
        logger.info("checkpoint choice: last epoch, no target labels used")
        return
    domains = [part.get("domain") for part in cfg.data.val.get("datasets") or ()]
    known = {f"{domain}_bbox_{score}": domain for domain in domains for score in SCORES}
    if known and key != "auto" and key not in known:
        raise UserError(
            f"evaluation.save_best={key!r} is no score of the validation; expected e.g. {list(known)[-6]!r}"
        )
    logger.info("checkpoint choice: best %s", key)
    target, source = cfg.get("target_domain") or cfg.model.get("default_domain"), cfg.get("source_domain")
    if target and (not source or known.get(key) != source):
        hint = f"; {source}_bbox_mAP would not use them" if source else ""
        logger.warning("save_best=%s chooses the checkpoint by labels of the target %s%s", key, target, hint)


def config_name(cfg: Config) -> str:
    """Name of the config's file, without its ending."""
    return Path(cfg.filename).stem if cfg.filename else "config"


def _add_loggers(cfg: Config) -> None:
    """Adds ``training.csv``; and TensorBoard, where it is installed and the config does not say no."""
    hooks = list(cfg.log_config.get("hooks") or ())
    loggers = [hook["type"] for hook in hooks]
    asked = cfg.get("tensorboard") or TENSORBOARD in loggers
    if asked and not find_spec("tensorboard"):
        raise UserError("the config asks for TensorBoard, which is not installed; run: pip install tensorboard")
    wanted = [CSV, TENSORBOARD] if asked or (cfg.get("tensorboard") is None and find_spec("tensorboard")) else [CSV]
    cfg.log_config.hooks = hooks + [dict(type=name) for name in wanted if name not in loggers]


def told_loggers(cfg: Config) -> str:
    """Where the losses of a settled config go, as one line."""
    folder, loggers = cfg.work_dir, [hook["type"] for hook in cfg.log_config.hooks]
    if TENSORBOARD in loggers:
        return f"losses: {folder}/training.csv, and for tensorboard --logdir {folder}"
    why = "the config says tensorboard=False" if find_spec("tensorboard") else "tensorboard is not installed"
    return f"losses: {folder}/training.csv; not for TensorBoard, since {why}"


def _resume_from(cfg: Config, resume_from: str | os.PathLike | None, auto_resume: bool) -> str | None:
    chosen = resume_from or cfg.get("resume_from")
    if not chosen and (auto_resume or cfg.get("auto_resume")):
        chosen = find_latest(cfg.work_dir)
    return str(chosen) if chosen else None


def _hooks(cfg: Config) -> list[dict]:
    hooks = [dict(hook) for hook in cfg.get("custom_hooks") or [] if hook["type"] not in OWN_HOOKS]
    for hook in hooks:
        if hook["type"].endswith("EMAHook"):
            # The moving average's buffers exist only from its before_run on, so it loads the checkpoint once more.
            hook["resume_from"] = cfg.resume_from
    hooks.append(dict(type="EpochSeedHook", seed=cfg.seed, priority="LOWEST"))
    # Before the optimizer's step (40), which would spoil the weights, and before a checkpoint (50).
    hooks.append(dict(type="DivergenceHook", scaled=bool(cfg.get("fp16")), priority="VERY_HIGH"))
    if cfg.get("freeze"):
        hooks.append(dict(type="FrozenBatchNormHook"))
    if not cfg.get("verbose"):
        # Behind the evaluation (LOW, 70), before the loggers (VERY_LOW, 90).
        hooks.append(dict(type="ConsoleHook", priority=80))
    return hooks
