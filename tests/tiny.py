"""Tiny data for tests: pictures of coloured rectangles with COCO annotations."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def make_coco(
    folder: Path,
    n_images: int = 4,
    size_hw: tuple[int, int] = (64, 96),
    classes: Sequence[str] = ("part",),
    seed: int = 0,
    max_boxes: int = 3,
) -> Path:
    """Writes ``folder/images/*.png`` and the box-only COCO file ``folder/annotations.json``; returns the latter.

    Every image has one to ``max_boxes`` rectangles; classes take turns, each drawn in its own colour.
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(1, n_images + 1):
        picture = rng.integers(90, 130, (height, width, 3), dtype=np.uint8)
        name = f"{image_id:03d}.png"
        images.append(dict(id=image_id, file_name=name, height=height, width=width))
        for _ in range(rng.integers(1, max_boxes + 1)):
            w, h = int(rng.integers(width // 8, width // 2)), int(rng.integers(height // 8, height // 2))
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            number = len(annotations) + 1
            category_id = 1 + number % len(classes)
            cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), (255 // category_id, 40 * category_id, 20), -1)
            annotations.append(
                dict(id=number, image_id=image_id, category_id=category_id, bbox=[x, y, w, h], area=w * h, iscrowd=0)
            )
        cv2.imwrite(str(folder / "images" / name), picture)
    categories = [dict(id=number, name=name) for number, name in enumerate(classes, start=1)]
    path = folder / "annotations.json"
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path
