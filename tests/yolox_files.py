"""Weights with the YOLOX project's names, for tests: a detector's own, renamed back."""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from mmcv import Config
from mmdet.datasets import CocoDataset
from mmdet.models import build_detector
from torch import Tensor, nn

from ms2a.config import CONFIGS, load_config

SHARED_WEIGHTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "weights"
NANO = SHARED_WEIGHTS / "yolox_nano_coco_mmdet.pth"

# mmdet's names → the YOLOX project's, written out by hand from both projects' networks.
_BACK = [
    (r"^backbone\.stem\.", "backbone.backbone.stem."),
    (r"^backbone\.stage1\.", "backbone.backbone.dark2."),
    (r"^backbone\.stage2\.", "backbone.backbone.dark3."),
    (r"^backbone\.stage3\.", "backbone.backbone.dark4."),
    (r"^backbone\.stage4\.", "backbone.backbone.dark5."),
    (r"^neck\.reduce_layers\.0\.", "backbone.lateral_conv0."),
    (r"^neck\.reduce_layers\.1\.", "backbone.reduce_conv1."),
    (r"^neck\.top_down_blocks\.0\.", "backbone.C3_p4."),
    (r"^neck\.top_down_blocks\.1\.", "backbone.C3_p3."),
    (r"^neck\.downsamples\.0\.", "backbone.bu_conv2."),
    (r"^neck\.downsamples\.1\.", "backbone.bu_conv1."),
    (r"^neck\.bottom_up_blocks\.0\.", "backbone.C3_n3."),
    (r"^neck\.bottom_up_blocks\.1\.", "backbone.C3_n4."),
    (r"^neck\.out_convs\.", "head.stems."),
    (r"^bbox_head\.multi_level_cls_convs\.", "head.cls_convs."),
    (r"^bbox_head\.multi_level_reg_convs\.", "head.reg_convs."),
    (r"^bbox_head\.multi_level_conv_cls\.", "head.cls_preds."),
    (r"^bbox_head\.multi_level_conv_reg\.", "head.reg_preds."),
    (r"^bbox_head\.multi_level_conv_obj\.", "head.obj_preds."),
    (r"\.main_conv\.", ".conv1."),
    (r"\.short_conv\.", ".conv2."),
    (r"\.final_conv\.", ".conv3."),
    (r"\.blocks\.", ".m."),
    (r"\.depthwise_conv\.", ".dconv."),
    (r"\.pointwise_conv\.", ".pconv."),
]


def build(size: str, num_classes: int = 3) -> tuple[Config, nn.Module]:
    """The config and the detector of a size, as it is built."""
    options = dict(detector=size, num_classes=num_classes, classes=[f"c{number}" for number in range(num_classes)])
    cfg = load_config(CONFIGS / "yolox" / "yolox_fs_n_custom_base.py", options)
    return cfg, build_detector(cfg.model)


def detector_of(size: str, num_classes: int = 3, seed: int = 0) -> nn.Module:
    """A detector of a size in evaluation mode with random weights and batch norms as training leaves them."""
    torch.manual_seed(seed)
    _, model = build(size, num_classes)
    train_batch_norms(model, lambda images: model.bbox_head(model.neck(model.backbone(images))))
    return model.eval()


def coco_weights(folder: Path) -> Path:
    """Random weights of size nano under the name and with the classes of COCO's, for ``MS2A_WEIGHTS=folder``."""
    folder.mkdir()
    path = folder / "yolox_nano_coco_mmdet.pth"
    state = detector_of("nano", len(CocoDataset.CLASSES)).state_dict()
    torch.save(dict(state_dict=state, meta=dict(CLASSES=CocoDataset.CLASSES)), path)
    return path


def smooth_pictures(count: int = 2, size_hw: tuple[int, int] = (64, 96), seed: int = 0) -> Tensor:
    """Random pictures (count, 3, H, W) in 0–255."""
    noise = torch.rand(count, 3, size_hw[0] // 16, size_hw[1] // 16, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(noise * 255, size_hw, mode="bilinear")


@torch.no_grad()
def train_batch_norms(model: nn.Module, forward: Callable[[Tensor], object]) -> None:
    """Gives batch norms weights and biases of their own, and statistics near those of images, so that maps stay small.

    Args:
        model: the network.
        forward: runs it on images in 0–255.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.uniform_(norm.bias, -0.3, 0.3)
        norm.momentum = None  # the statistics of what it sees now
    model.train()
    forward(smooth_pictures(4, (96, 128)))
    for norm in norms:
        norm.momentum = 0.03
        norm.running_mean += 0.1 * torch.randn_like(norm.running_mean) * norm.running_var.sqrt()
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.25)
        norm.running_var.clamp_(min=0.5 * float(norm.running_var.mean()))  # no channel is all noise


def yolox_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ``state_dict`` with the YOLOX project's names."""
    renamed = {}
    for name, value in weights.items():
        for pattern, replacement in _BACK:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed
