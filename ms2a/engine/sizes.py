"""Which size a detector or a weight file is of."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ms2a.config import detector_options
from ms2a.defaults import DETECTORS

# CSPDarknet: channels of the stem and blocks of the second stage at factor 1.
STEM_CHANNELS, STAGE2_BLOCKS = 64, 9
_STEM = "backbone.stem.conv.conv.weight"
_BLOCK = re.compile(r"backbone\.stage2\.1\.blocks\.(\d+)\.")


def size_of_weights(weights: Mapping[str, Tensor]) -> str | None:
    """The size of a detector by its weights in mmdet's layout; None where it is no known one.

    Args:
        weights: a ``state_dict``.
    """
    if _STEM not in weights:
        return None
    blocks = {found[1] for name in weights if (found := _BLOCK.match(name))}
    depthwise = any("depthwise_conv" in name for name in weights if name.startswith("backbone."))
    return _named(weights[_STEM].shape[0], len(blocks), depthwise)


def size_of_model(model: Mapping[str, Any]) -> str | None:
    """The size of a detector by ``model`` of its settled config; None where it is no known one."""
    backbone = model.get("backbone") or {}
    deepen, widen = backbone.get("deepen_factor"), backbone.get("widen_factor")
    if backbone.get("type") != "CSPDarknet" or deepen is None or widen is None:
        return None
    return _named(*_measures(deepen, widen), bool(backbone.get("use_depthwise")))


def _measures(deepen: float, widen: float) -> tuple[int, int]:
    return int(STEM_CHANNELS * widen), max(round(STAGE2_BLOCKS * deepen), 1)


def _named(channels: int, blocks: int, depthwise: bool) -> str | None:
    for name in DETECTORS:
        size = detector_options(name, "")
        if (*_measures(size["deepen_factor"], size["widen_factor"]), size["use_depthwise"]) == (
            channels,
            blocks,
            depthwise,
        ):
            return name
    return None
