"""Memory-guided colours: training images take on histograms that the unlabelled target images were seen to have.

A histogram is kept as its quantile function, whose mean over a cluster is the Wasserstein barycentre of the cluster's
histograms (Rabin 2011): k-means of quantiles is k-means of histograms by optimal transport.
"""

import os
import zlib
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.datasets import PIPELINES

from ms2a.errors import UserError
from ms2a.memory import read_prototypes
from ms2a.memory.controls import RANDOM, STORED, check_control

NUM_QUANTILES = 64
# As albumentations' histogram matching, the baseline: at least so much of the way.
MIN_SHARE = 0.5


def colour_quantiles(img: np.ndarray) -> np.ndarray:
    """The quantiles of each channel of a uint8 image (H, W, 3), as float32 (3, :data:`NUM_QUANTILES`)."""
    return np.quantile(img.reshape(-1, 3), _shares(NUM_QUANTILES), axis=0, method="inverted_cdf").T.astype(np.float32)


def match_quantiles(img: np.ndarray, quantiles: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Gives the channels of an image other histograms (Gonzalez 2008, histogram matching).

    Args:
        img: uint8 (H, W, 3).
        quantiles: (3, Q) in 0–255, rising along Q.
        share: how far to go, 0 to 1.

    Returns:
        uint8 (H, W, 3).
    """
    values = np.arange(256)
    table = np.empty((256, 1, 3), np.uint8)
    for channel in range(3):
        counts = np.bincount(img[..., channel].ravel(), minlength=256)
        darker = (np.cumsum(counts) - 0.5 * counts) / counts.sum()  # half of the pixels of a value are
        wanted = np.interp(darker, _shares(quantiles.shape[1]), quantiles[channel])
        table[:, 0, channel] = np.clip(np.rint(values + share * (wanted - values)), 0, 255)
    return cv2.LUT(img, table)


def _shares(count: int) -> np.ndarray:
    """The shares of pixels that are darker than each of so many quantiles: the middles of equal steps."""
    return (np.arange(count) + 0.5) / count


@PIPELINES.register_module()
class ColourQuantiles:
    """Puts the quantiles of an image, a float32 tensor (3, :data:`NUM_QUANTILES`), in its place."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replaces ``results["img"]``, uint8 (H, W, 3)."""
        return {**results, "img": torch.from_numpy(colour_quantiles(results["img"]))}


@PIPELINES.register_module()
class MemoryColour:
    """Gives an image the colours of one of K clusters of target images; the annotations stay.

    Args:
        file: prototypes of ``extract_fea_fewshot.py --prototype colour``.
        prob: share of the images that are recoloured, each by half of the way or more; with 0 the file is not read.
        prototypes: ``"stored"``, or as a control ``"random"``: the quantiles of noise that has the mean and variance
            of all stored values.

    Raises:
        UserError: ``prob`` or ``prototypes`` is none of their values, or the file is missing or holds something else.
    """

    def __init__(self, file: str | os.PathLike, prob: float = 0.8, prototypes: str = STORED) -> None:
        check_control(prototypes, "MemoryColour's prototypes", (STORED, RANDOM))
        if not isinstance(prob, int | float) or not 0 <= prob <= 1:
            raise UserError(f"MemoryColour(prob={prob!r}): expected a share from 0 to 1")
        self.prob = prob
        if not prob:
            return
        self.colours = read_prototypes(file)[0].numpy()
        if self.colours.shape[1] != 3:
            raise UserError(
                f"colour file {file} holds maps of {self.colours.shape[1]}x{self.colours.shape[2]}, expected the "
                "quantiles of 3 channels; extract with `prototype='colour'`"
            )
        if prototypes == RANDOM:
            self.colours = np.sort(_noise_like(self.colours), axis=-1)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes ``results["img"]``, uint8 (H, W, 3)."""
        if self.prob and np.random.rand() < self.prob:
            colour = self.colours[np.random.randint(len(self.colours))]
            results["img"] = match_quantiles(results["img"], colour, np.random.uniform(MIN_SHARE, 1))
        return results


def _noise_like(values: np.ndarray) -> np.ndarray:
    """Normal noise of the same shape, mean and variance, always the same for the same values."""
    rng = np.random.default_rng(zlib.crc32(values.tobytes()))
    return rng.normal(values.mean(), values.std(), values.shape)
