"""Detectors with random weights, for benchmarks whose claim does not depend on training."""

import logging

import torch
from mmcv import Config
from mmdet.models import build_detector
from torch import nn

from ms2a.apis.config import load_config

CONFIGS = "configs/yolox/yolox_fs_n_128x320_indus_synth_{}.py"
PLAIN, MS2A = CONFIGS.format("base"), CONFIGS.format("t1_10_pretrain_mom_ft")


def random_detector(
    config: str, width: float = 0.25, seed: int = 0, channels: int | None = None
) -> tuple[Config, nn.Module]:
    """A config of the embedded benchmark at another width, and its detector; a memory gets random prototypes.

    ``channels`` are the neck's, if they are not to follow from the width.
    """
    in_channels = [int(width * each) for each in (256, 512, 1024)]
    sizes = dict(channels=channels or in_channels[0], neck_in_channels=in_channels, c5_channels=in_channels[-1])
    cfg = load_config(config, dict(widen_factor=width, **sizes))
    for name in ("mmcv", "mmdet"):  # they tell how each layer was initialised
        logging.getLogger(name).setLevel(logging.WARNING)
    torch.manual_seed(seed)
    model = build_detector(cfg.model, train_cfg=cfg.get("train_cfg"), test_cfg=cfg.get("test_cfg"))
    model.init_weights()
    for domain in model.domains:
        bank = model.adapter.memory
        bank.load_prototypes(domain, [torch.randn(bank.num_prototypes, *size) for size in bank.sizes_hw])
    return cfg, model.to(memory_format=torch.channels_last)
