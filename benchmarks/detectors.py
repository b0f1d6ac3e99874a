"""Detectors with random weights, for benchmarks whose claim does not depend on training."""

import logging

import torch
from mmcv import Config
from mmdet.models import build_detector
from torch import nn

from ms2a.config import load_config

CONFIGS = "configs/yolox/yolox_fs_n_128x320_indus_synth_{}.py"
PLAIN, MS2A = CONFIGS.format("base"), CONFIGS.format("t1_10_pretrain_mom_ft")


def random_detector(
    config: str,
    width: float = 0.25,
    seed: int = 0,
    channels: int | None = None,
    size_hw: tuple[int, int] = (128, 320),
    depth: float = 0.33,
) -> tuple[Config, nn.Module]:
    """A config of the embedded benchmark at another size, and its detector; a memory gets random prototypes.

    ``channels`` are the neck's, if they are not to follow from the width. Training stays at one image size.
    """
    in_channels = [int(width * each) for each in (256, 512, 1024)]
    sizes = dict(channels=channels or in_channels[0], neck_in_channels=in_channels)
    if config != PLAIN:
        sizes["c5_channels"] = in_channels[-1]
    one_size = dict(image_size=size_hw, random_size_range=(size_hw[0] // 32,) * 2)
    scale = dict(widen_factor=width, deepen_factor=depth, num_csp_blocks=round(3 * depth))
    cfg = load_config(config, {**scale, **sizes, **one_size})
    return with_random_memory(cfg, seed)


def with_random_memory(cfg: Config, seed: int = 0) -> tuple[Config, nn.Module]:
    """A config and its detector with random weights; a memory gets random prototypes."""
    for name in ("mmcv", "mmdet"):  # they tell how each layer was initialised
        logging.getLogger(name).setLevel(logging.WARNING)
    torch.manual_seed(seed)
    model = build_detector(cfg.model, train_cfg=cfg.get("train_cfg"), test_cfg=cfg.get("test_cfg"))
    model.init_weights()
    for domain in model.domains:
        bank = model.adapter.memory
        bank.load_prototypes(domain, [torch.randn(bank.num_prototypes, *size) for size in bank.sizes_hw])
    return cfg, model.to(memory_format=torch.channels_last)
