"""What runs a detector: torch, or the runtime of an exported file."""

import os
import tempfile
from pathlib import Path

import torch
from mmcv import Config
from torch import nn

from ms2a.apis.export import export_onnx
from ms2a.apis.onnx_detector import OnnxDetector
from ms2a.defaults import ENGINES, PRECISIONS
from ms2a.engine.distributed import choose_device
from ms2a.engine.fast_inference import speed_up
from ms2a.errors import UserError
from ms2a.models.build import build_model, config_classes

ONNX_SUFFIX = ".onnx"


def is_onnx(path: str | os.PathLike) -> bool:
    """Whether a checkpoint is an exported file."""
    return Path(path).suffix == ONNX_SUFFIX


def open_detector(
    cfg: Config,
    checkpoint: str | os.PathLike,
    device: str | torch.device | None = None,
    engine: str = "auto",
    precision: str = "float32",
) -> nn.Module:
    """A trained detector in the form that is fast.

    Args:
        cfg: from :func:`ms2a.config.load_config`.
        checkpoint: the trained weights, or an .onnx file made of them.
        device: ``"cpu"``, ``"cuda"``, …; default: a GPU if there is one.
        engine: ``"torch"`` for weights, ``"onnxruntime"`` or ``"openvino"`` for files and for weights, which are
            exported first, ``"opencv"`` for files that were exported for it; ``"auto"``: torch for weights, the fastest
            that is installed for files.
        precision: ``"float32"``, or ``"bfloat16"``, in torch and OpenVINO on the CPU.

    Returns:
        mmdet's detector or an :class:`OnnxDetector`.

    Raises:
        UserError: the engine is unknown, not installed or can't run this, the file does not fit the config, or there
            is no such device.
    """
    if engine not in ENGINES:
        raise UserError(f"`engine={engine}`: expected one of {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise UserError(f"`precision={precision}`: expected one of {', '.join(PRECISIONS)}")
    if is_onnx(checkpoint):
        if engine == "torch":
            raise UserError(f"`engine=torch` does not run {checkpoint}; give the trained weights, or another engine")
        gpu = device is not None and torch.device(device).type == "cuda"
        return OnnxDetector(checkpoint, config_classes(cfg), engine, precision, gpu)
    torch_device = choose_device(device)
    if engine in ("torch", "auto"):
        model = build_model(cfg, checkpoint, torch_device)
        return speed_up(model if precision == "float32" else in_bfloat16(model))
    with tempfile.TemporaryDirectory(prefix="ms2a_engine_") as folder:
        file = Path(folder, f"detector{ONNX_SUFFIX}")
        print(f"exporting {checkpoint} for {engine}; to do so once only: ms2a export")
        export_onnx(cfg, checkpoint, file, all_domains=bool(cfg.model.get("adapter")), runtime=engine)
        return OnnxDetector(file, config_classes(cfg), engine, precision, torch_device.type == "cuda")


def in_bfloat16(model: nn.Module) -> nn.Module:
    """Weights and maps in bfloat16, in place; boxes and scores stay in float32.

    Args:
        model: a detector in evaluation mode, before :func:`ms2a.engine.fast_inference.speed_up`.
    """
    model.backbone.register_forward_pre_hook(lambda _, inputs: (inputs[0].bfloat16(),))
    return model.bfloat16()
