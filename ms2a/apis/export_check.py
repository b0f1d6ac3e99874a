"""Whether an exported file computes what PyTorch does."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ms2a.apis.export_network import Detections
from ms2a.errors import UserError
from ms2a.runtime.about import DOMAIN, IMAGES
from ms2a.runtime.engines import open_file

TOLERANCE = 1e-4
# OpenCV's convolutions by Winograd round more: 1.7e-4 with YOLOX-S at 640x640, half of it without them.
ROUNDS_MORE = {"opencv": 1e-3}
# Another batch and size than the traced one.
CHECKED_SHAPE = (3, 3, 160, 128)


def check_file(
    network: nn.Module, path: Path, out: str | os.PathLike, about: dict[str, Any], engine: str, num_domains: int
) -> None:
    """Compares a file with PyTorch, at another batch and size than it was traced at where it takes them.

    Args:
        network: what was traced.
        path: the file.
        out: what it will be called.
        about: what the file says of itself.
        engine: what runs it.
        num_domains: how many it holds.

    Raises:
        UserError: they differ.
    """
    shape = tuple(about["shape"] or CHECKED_SHAPE)
    inputs = example_inputs(shape, num_domains)
    with torch.no_grad():
        expected = [output.numpy() for output in network(*inputs)]
    names = (IMAGES, DOMAIN)[: len(inputs)]
    found = open_file(path, about, engine, threads=torch.get_num_threads())(
        {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    )
    if isinstance(network, Detections):
        pairs = zip(_rows(expected), _rows(found), strict=True)
        difference = max(detections_difference(*pair, network.max_per_img) for pair in pairs)
    else:
        difference = max(map(_difference, expected, found))
    tolerance = ROUNDS_MORE.get(engine, TOLERANCE)
    if not difference <= tolerance:
        raise UserError(
            f"{out} is not kept: at {'x'.join(map(str, shape))} {engine} differs from PyTorch by {difference:.1e}, "
            f"expected {tolerance:g} at most"
        )


def example_inputs(shape: Sequence[int], num_domains: int) -> tuple[Tensor, ...]:
    """Smooth images (B, 3, H, W) in 0–255 and, where there are several domains, one of them for each, in turn."""
    batch, channels, height, width = shape
    coarse = torch.rand(batch, channels, height // 8, width // 8, generator=torch.Generator().manual_seed(0)) * 255
    images = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return (images, torch.arange(batch) % num_domains) if num_domains > 1 else (images,)


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference, as a share of the largest value where that is above 1."""
    return float(np.abs(expected - found).max() / max(np.abs(expected).max(), 1))


def _rows(outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each image (M, 6): its detections with their labels."""
    return [np.c_[rows, labels][labels >= 0] for rows, labels in zip(*outputs, strict=True)]


def detections_difference(expected: np.ndarray, found: np.ndarray, max_per_img: int | None = None) -> float:
    """How far the detections of an image differ whatever their order, (M, 6) and (M', 6): boxes, score and label.

    Args:
        expected: one side.
        found: the other.
        max_per_img: a side that has so many was cut: which of equally weak ones were kept then does not count.

    Returns:
        the largest distance of a detection of either side from the nearest one of the other, each column as a share of
        its largest value where that is above 1; infinite if only one side has any.
    """
    if not len(expected) or not len(found):
        return 0.0 if len(expected) == len(found) else float("inf")
    scale = np.maximum(np.abs(expected).max(0), 1)
    distances = (np.abs(expected[:, None] - found[None]) / scale).max(2)
    cut = max((side[:, 4].min() + TOLERANCE for side in (expected, found) if len(side) == max_per_img), default=-1)
    unmatched = [distances.min(1)[expected[:, 4] > cut], distances.min(0)[found[:, 4] > cut]]
    return float(np.max(np.concatenate(unmatched), initial=0))
