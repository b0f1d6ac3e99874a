"""Pictures for benchmarks whose claim does not depend on what is in them."""

import os
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 128, 320
NUM_PICTURES = 50


def make_pictures(folder: Path, count: int) -> Path:
    """Makes ``folder`` with ``count`` JPEG files of 128x320 pixels, links to a few different ones; returns it."""
    originals = folder.with_name(f"{folder.name}_originals")
    originals.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(min(count, NUM_PICTURES)):
        coarse = rng.integers(0, 255, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
        cv2.imwrite(
            str(originals / f"{number}.jpg"), cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        )
    folder.mkdir()
    for number in range(count):
        os.link(originals / f"{number % NUM_PICTURES}.jpg", folder / f"{number:06d}.jpg")
    return folder
