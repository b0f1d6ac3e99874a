"""A trained detector from a config and a checkpoint."""

import copy
import os
from importlib import import_module

import torch
from mmcv import Config
from mmdet.models import build_detector
from torch import nn

from ms2a.engine.building import config_mistakes_told
from ms2a.engine.checkpoint import class_mismatch, read_checkpoint, without_constants
from ms2a.engine.sound_weights import check_kinds
from ms2a.errors import UserError

# Used in training only: a checkpoint may hold them though the config has none.
TRAINING_PARTS = ("foreground.", "alignment.", "style.")


def build_model(cfg: Config, checkpoint: str | os.PathLike, device: str | torch.device = "cpu") -> nn.Module:
    """Builds the detector of a config with the weights of a checkpoint.

    No memory file is read: the checkpoint holds the memory.

    Args:
        cfg: from :func:`ms2a.config.load_config`; not changed.
        checkpoint: the file; its memory and weights must be exactly the config's.
        device: where the detector goes.

    Returns:
        the detector in evaluation mode, its class names in ``CLASSES``.

    Raises:
        UserError: the checkpoint is missing, truncated or refused, or has other weights, another memory or other
            classes than the config.
    """
    import_module("ms2a.plugin")  # a config that another process sent was not loaded in this one
    content = read_checkpoint(checkpoint)
    model_cfg = copy.deepcopy(cfg.model)
    if model_cfg.get("adapter"):
        model_cfg.adapter.memory.files = None
    model_cfg.style = None
    model_cfg.train_cfg = None
    with config_mistakes_told(cfg):
        model = build_detector(model_cfg, test_cfg=cfg.get("test_cfg"))
    # First, so that another number of classes is told as such and not as a mismatch of tensors.
    model.CLASSES = _classes(cfg, content["meta"].get("CLASSES"), checkpoint, model.bbox_head.num_classes)
    _load(model, content["state_dict"], checkpoint)
    return model.to(device, memory_format=torch.channels_last).eval()


def config_classes(cfg: Config) -> list[str] | None:
    """The class names that a config gives, at its top or in its first test set; None if it leaves them to mmdet."""
    classes, part = cfg.get("classes"), cfg.data.get("test")
    while classes is None and part:
        classes = part.get("classes")
        part = part.get("dataset") or next(iter(part.get("datasets") or ()), None)
    return list(classes) if classes and not isinstance(classes, str) else None


def _classes(cfg: Config, theirs: list[str] | None, checkpoint: str | os.PathLike, num_classes: int) -> list[str]:
    ours = config_classes(cfg)
    if isinstance(theirs, str):
        theirs = [theirs]
    if ours and theirs and ours != list(theirs):
        raise UserError(class_mismatch(f"checkpoint {checkpoint}", theirs, ours))
    classes = ours or list(theirs or (f"class {index}" for index in range(num_classes)))
    if len(classes) != num_classes:
        raise UserError(
            f"the head has num_classes={num_classes}, but there are {len(classes)} classes {classes}; "
            f"set model.bbox_head.num_classes={len(classes)}"
        )
    return classes


def _load(model: nn.Module, weights: dict[str, torch.Tensor], checkpoint: str | os.PathLike) -> None:
    check_kinds(model, weights, f"checkpoint {checkpoint}")
    try:
        left = model.load_state_dict(without_constants(model, weights), strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        mismatch = next((line for line in lines if line.startswith("size mismatch")), lines[-1])
        raise UserError(f"checkpoint {checkpoint} does not fit the config: {mismatch}") from None
    missing = [name for name in left.missing_keys if not name.endswith("num_batches_tracked")]
    unknown = [name for name in left.unexpected_keys if not name.startswith(TRAINING_PARTS)]
    if missing or unknown:
        raise UserError(
            f"checkpoint {checkpoint} does not fit the config: {len(missing)} of its tensors are missing and "
            f"{len(unknown)} unknown, e.g. {(missing + unknown)[0]}; use the config it was trained with"
        )
