"""Pictures of what a trained detector remembers, and of which parts of it an image reads."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv import Config
from torch import Tensor, nn

from ms2a.adaptation.attention import attention_weights
from ms2a.analysis.memory import attention_sheet, colour_sheet, prototype_sheet
from ms2a.apis.detector import Detector
from ms2a.artefacts import atomic_path
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
            ``<name>_colours.png``.
        img: images to show the attention of.
        domain: whose memory they read; default: the target's.
        colours: a file of colour clusters to show the images in.

    Returns:
        the files written.

    Raises:
        UserError: the detector has no memory of maps, the domain is unknown, or an image cannot be read.
    """
    detector = Detector(cfg, checkpoint, "cpu")
    model = detector.model
    if not model.domains or isinstance(model.adapter, VectorMemoryAdapter):
        raise UserError(f"config {cfg.filename} has no memory of maps to draw")
    domain = choose_domain(domain, detector.domains, detector.default_domain)
    levels = range(len(model.adapter.levels))
    with torch.no_grad():
        memories = {name: [model.adapter.memory(name, level).numpy() for level in levels] for name in model.domains}
    pictures = {"prototypes": prototype_sheet(memories)}
    clusters = MemoryColour(colours).colours if colours else None
    images = ImageFolderDataset(img, memory_pipeline(cfg), domain=domain) if img else ()
    for index in range(len(images)):
        if (result := images[index]) is None:
            raise unreadable(images.path(index))
        stem = Path(images.names[index]).stem
        if clusters is not None:
            pictures[f"{stem}_colours"] = colour_sheet(read_picture(images.path(index), cfg.get("bit_depth")), clusters)
        pictures |= _attention(model, first_view(result), domain, stem)
    paths = [Path(out_dir, f"{name}.png") for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        with atomic_path(path) as temporary:
            cv2.imwrite(str(temporary), picture)
    return paths


def _attention(model: nn.Module, image: Tensor, domain: str, stem: str) -> dict[str, np.ndarray]:
    """The sheet of each level of an image (3, H, W); none where the memory asks instead of the image."""
    sheets = {}
    if model.adapter.levels[0].layers[0].query != "feature":
        return sheets
    shown = np.ascontiguousarray(image.permute(1, 2, 0).byte().numpy())
    for level in range(len(model.adapter.levels)):
        weights = _layer_attention(model, level, image[None], domain)
        varies = _reading_varies(weights / weights.sum(1, keepdims=True))
        print(f"{stem}, level {level + 1}: attention varies by {varies:.2f} of 1 between windows")
        sheets[f"{stem}_level{level + 1}"] = attention_sheet(shown, weights, SHOWN)
    return sheets


def _layer_attention(model: nn.Module, level: int, image: Tensor, domain: str) -> np.ndarray:
    """Attention of the first layer of a level, (100, 100): of the image's 10 × 10 windows to the memory's."""
    layer, seen = model.adapter.levels[level].layers[0], []
    hook = layer.register_forward_hook(lambda _layer, inputs, _output: seen.extend(inputs))
    with torch.no_grad():
        model.adapter(model.neck(model.backbone(image)), [domain])
        hook.remove()
        query, key, _, _ = layer.sides(*seen)
    weights = attention_weights(query, key, layer.num_heads)[0].mean(0)  # (100, 129)
    return weights[:, :100].numpy()


def _reading_varies(weights: np.ndarray) -> float:
    """How much what is read depends on who reads: mean total variation, in 0–1, of the windows from their mean."""
    return float(np.abs(weights - weights.mean(0)).sum(1).mean() / 2)
