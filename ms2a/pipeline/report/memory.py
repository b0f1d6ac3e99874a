"""What a report says of a memory: its prototypes, and what pictures read of it."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv import Config

from ms2a.analysis.memory import colour_sheet, prototype_grid
from ms2a.analysis.report.pictures import encode
from ms2a.apis.detector import Detector
from ms2a.apis.show_memory import attention_maps, has_maps, memory_maps, reading_varies
from ms2a.datasets import ImageFolderDataset, MemoryColour
from ms2a.datasets.load_picture import read_picture
from ms2a.progress import Progress
from ms2a.storage.image_batches import first_view, memory_pipeline

SHEET_BYTES, PICTURE_BYTES = 90_000, 30_000
MAX_PROTOTYPES, MAX_COLOURS, COLOUR_WIDTH = 100, 8, 240
_STEPS = 2**16 - 1


def memory_section(config: Config, checkpoint: Path, images: Sequence[Path]) -> dict[str, Any]:
    """Prototypes of each domain and level, and the attention of some pictures of the target.

    Args:
        config: of the adapted detector.
        checkpoint: its weights, which hold the memory.
        images: files of the pictures.

    Returns:
        ``why``, where there is nothing to draw; else ``levels``, ``sheets``, ``pictures``, ``grid``, ``asks`` (whether
        ``"feature"`` or ``"memory"`` asks), ``varies`` and ``colours``.

    Raises:
        UserError: the checkpoint is missing or does not fit.
    """
    detector = Detector(config, checkpoint, "cpu")
    model = detector.model
    colours = _colours(config, images)
    if not model.domains:
        return {"why": "This detector reads no memory.", "colours": colours}
    if not has_maps(model):
        return {"why": "The prototypes of this memory are vectors: there are no maps to draw.", "colours": colours}
    memories = memory_maps(model)
    sheets = [
        {
            "domain": domain,
            "level": level,
            "count": len(maps),
            "size": list(maps.shape[1:]),
            "shown": min(len(maps), MAX_PROTOTYPES),
            "src": encode(prototype_grid(maps[:MAX_PROTOTYPES]), SHEET_BYTES)[0],
        }
        for domain, levels in memories.items()
        for level, maps in enumerate(levels, start=1)
    ]
    pictures, varies = _attention(detector, config, images)
    return {
        "levels": len(model.adapter.levels),
        "domains": list(memories),
        "sheets": sheets,
        "pictures": pictures,
        "read": detector.default_domain,
        "asks": model.adapter.levels[0].layers[0].query,
        "varies": varies,
        "colours": colours,
    }


def _attention(detector: Detector, config: Config, images: Sequence[Path]) -> tuple[list[dict[str, Any]], list[float]]:
    """For each picture its address and, a level each, attention as base64 of (100, 100) uint16; mean variation."""
    if not images:
        return [], []
    dataset = ImageFolderDataset(
        [str(path) for path in images], memory_pipeline(config), domain=detector.default_domain
    )
    pictures, variation = [], []
    for index in Progress(range(len(dataset)), desc="attention", unit="picture", leave=False, delay=2):
        if (result := dataset[index]) is None:
            continue
        image = first_view(result).float()
        weights = attention_maps(detector.model, image, detector.default_domain)
        variation.append([reading_varies(own) for own in weights])
        shown = np.ascontiguousarray(image.permute(1, 2, 0).byte().numpy())
        packed = [base64.b64encode(np.round(own * _STEPS).astype("<u2").tobytes()).decode() for own in weights]
        src, size = encode(shown, PICTURE_BYTES)
        pictures.append({"name": dataset.names[index], "src": src, "size": size, "weights": packed})
    return pictures, [float(value) for value in np.mean(variation, axis=0)] if variation else []


def _colours(config: Config, images: Sequence[Path]) -> dict[str, Any] | None:
    """The first picture as it is and in the colours of the memory, where the training used them."""
    file = config.get("colour_file")
    if not config.get("colour_prob") or not file or not Path(file).is_file() or not images:
        return None
    clusters = MemoryColour(file).colours
    picture = read_picture(images[0], config.get("bit_depth"))
    height = max(1, round(COLOUR_WIDTH * picture.shape[0] / picture.shape[1]))
    picture = cv2.resize(picture, (COLOUR_WIDTH, height), interpolation=cv2.INTER_AREA)
    sheet = colour_sheet(picture, clusters[:MAX_COLOURS])
    return {"count": len(clusters), "shown": min(len(clusters), MAX_COLOURS), "src": encode(sheet, SHEET_BYTES)[0]}
