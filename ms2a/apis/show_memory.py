"""Pictures of what a trained detector remembers, and of which parts of it an image reads."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv import Config
from torch import Tensor, nn

from ms2a.adaptation.attention import attention_weights
from ms2a.adaptation.fast import average_windows
from ms2a.analysis.memory import attention_sheet, colour_sheet, prototype_sheet
from ms2a.analysis.pictures import FreeNames, write_picture
from ms2a.apis.detector import Detector
from ms2a.artefacts import check_output
from ms2a.datasets import ImageFolderDataset, MemoryColour
from ms2a.datasets.load_picture import read_picture
from ms2a.datasets.readable import unreadable
from ms2a.errors import UserError
from ms2a.memory.domains import choose_domain
from ms2a.models import VectorMemoryAdapter
from ms2a.storage.image_batches import first_view, memory_pipeline

# Rows and columns of the windows, of 10 × 10, whose attention is drawn.
SHOWN = [(2, 2), (5, 5), (7, 8)]


def show_memory(
    cfg: Config,
    checkpoint: str | os.PathLike,
    out_dir: str | os.PathLike,
    img: Sequence[str | os.PathLike] = (),
    domain: str | None = None,
    colours: str | os.PathLike | None = None,
) -> list[Path]:
    """Draws the prototypes, and the attention of images in the first adaptation layer.

    Args:
        cfg: from :func:`ms2a.config.load_config`.
        checkpoint: the trained weights, which hold the memory.
        out_dir: folder for ``prototypes.png``, for each image ``<name>_level<l>.png`` and with ``colours``
            ``<name>_colours.png``; images of one name are numbered, ``<name>_2_level<l>.png``.
        img: images to show the attention of.
        domain: whose memory they read; default: the target's.
        colours: a file of colour clusters to show the images in.

    Returns:
        the files written.

    Raises:
        UserError: the detector has no memory of maps, the domain is unknown, or an image cannot be read.
    """
    check_output(out_dir, is_folder=True)
    detector = Detector(cfg, checkpoint, "cpu")
    model = detector.model
    if not has_maps(model):
        raise UserError(f"config {cfg.filename} has no memory of maps to draw")
    domain = choose_domain(domain, detector.domains, detector.default_domain)
    pictures = {"prototypes": prototype_sheet(memory_maps(model))}
    clusters = MemoryColour(colours).colours if colours else None
    images = ImageFolderDataset(img, memory_pipeline(cfg), domain=domain) if img else ()
    names = FreeNames()
    for index in range(len(images)):
        if (result := images[index]) is None:
            raise unreadable(images.told(index))
        stem = names.free(None, Path(images.names[index]).with_suffix(".png").name).stem
        if clusters is not None:
            pictures[f"{stem}_colours"] = colour_sheet(read_picture(images.path(index), cfg.get("bit_depth")), clusters)
        pictures |= _attention(model, first_view(result), domain, stem)
    paths = [Path(out_dir, f"{name}.png") for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        write_picture(picture, path)
    return paths


def has_maps(model: nn.Module) -> bool:
    """Whether a detector has a memory, and one of maps."""
    return bool(model.domains) and not isinstance(model.adapter, VectorMemoryAdapter)


@torch.no_grad()
def memory_maps(model: nn.Module) -> dict[str, list[np.ndarray]]:
    """For each domain the memory of each level, (K, H, W)."""
    levels = range(len(model.adapter.levels))
    return {name: [model.adapter.memory(name, level).cpu().numpy() for level in levels] for name in model.domains}


@torch.no_grad()
def attention_maps(model: nn.Module, image: Tensor, domain: str) -> list[np.ndarray]:
    """What the first adaptation layer of each level pays attention to, mean over heads. Threads may call it at once.

    Args:
        model: a detector with a memory of maps.
        image: (3, H, W) as the network gets it.
        domain: whose memory is read.

    Returns:
        for each level (100, 100): of the 10 × 10 windows that ask (see ``query`` of the layer) to those that answer.
    """
    weights = []
    maps = model.neck(model.backbone(image[None]))
    for adapt, feature, remembered in zip(model.adapter.levels, maps, model.adapter.remember([domain]), strict=True):
        layer = adapt.layers[0]
        windows = average_windows(adapt.project_feature(feature), layer.feature_grids)
        query, key, _, _ = layer.sides(windows, remembered[0])
        # The answering side has coarser windows too, behind the first hundred.
        weights.append(attention_weights(query, key, layer.num_heads)[0].mean(0)[:, :100].cpu().numpy())
    return weights


def reading_varies(weights: np.ndarray) -> float:
    """How much what is read depends on who reads: mean total variation, in 0–1, of the windows from their mean."""
    weights = weights / weights.sum(1, keepdims=True)
    return float(np.abs(weights - weights.mean(0)).sum(1).mean() / 2)


def _attention(model: nn.Module, image: Tensor, domain: str, stem: str) -> dict[str, np.ndarray]:
    """The sheet of each level of an image (3, H, W); none where the memory asks instead of the image."""
    sheets = {}
    if model.adapter.levels[0].layers[0].query != "feature":
        return sheets
    shown = np.ascontiguousarray(image.permute(1, 2, 0).byte().numpy())
    for level, weights in enumerate(attention_maps(model, image, domain), start=1):
        print(f"{stem}, level {level}: attention varies by {reading_varies(weights):.2f} of 1 between windows")
        sheets[f"{stem}_level{level}"] = attention_sheet(shown, weights, SHOWN)
    return sheets
