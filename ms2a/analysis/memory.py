"""Pictures of a memory: its prototypes, its colours, and which of its windows an image's windows read."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ms2a.datasets.memory_colour import match_quantiles

GAP = 2
CAPTION_HEIGHT = 22
COLOURS = cv2.COLORMAP_VIRIDIS


def prototype_sheet(memories: Mapping[str, Sequence[np.ndarray]], columns: int = 10, width: int = 960) -> np.ndarray:
    """Every prototype as a small heat map, scaled to its own range: what differs between places, not how strong it is.

    Args:
        memories: for each domain one array (K, H, W) a level.
        columns: prototypes beside each other.
        width: of one domain's sheet, in pixels.

    Returns:
        (H', W', 3) uint8, BGR: domains beside each other, levels below each other.
    """
    sheets = []
    for domain, levels in memories.items():
        rows = []
        for number, prototypes in enumerate(levels, start=1):
            rows += [_caption(f"{domain}, level {number}, {len(prototypes)} prototypes", width)]
            rows += [_grid(prototypes, columns, width)]
        sheets.append(np.vstack(rows))
    height = max(len(sheet) for sheet in sheets)
    padded = [cv2.copyMakeBorder(sheet, 0, height - len(sheet), 0, 4 * GAP, 0, value=(255,) * 3) for sheet in sheets]
    return np.hstack(padded)


def attention_sheet(image: np.ndarray, weights: np.ndarray, windows: Sequence[tuple[int, int]]) -> np.ndarray:
    """For some windows of an image, how much each window of the memory is read.

    Args:
        image: (H, W, 3) uint8, BGR.
        weights: (grid · grid, memory grid · memory grid), attention of each of the image's windows, mean over heads.
        windows: row and column of the windows to show.

    Returns:
        (H', W', 3) uint8, BGR: the image with the windows framed, and below it one heat map a window.
    """
    height, width = image.shape[:2]
    grid, memory_grid = (int(round(count**0.5)) for count in weights.shape)
    picture, maps = image.copy(), []
    for number, (row, column) in enumerate(windows):
        colour = tuple(int(value) for value in cv2.applyColorMap(np.uint8([[255 * number // len(windows)]]), 2)[0, 0])
        top, left = row * height // grid, column * width // grid
        bottom, right = (row + 1) * height // grid - 1, (column + 1) * width // grid - 1
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
        heat = _heat(weights[row * grid + column].reshape(memory_grid, memory_grid), (height, width))
        maps.append(cv2.rectangle(heat, (0, 0), (width - 1, height - 1), colour, 3))
    return np.vstack([picture, *maps])


def colour_sheet(image: np.ndarray, colours: np.ndarray, columns: int = 3) -> np.ndarray:
    """An image, and beside it the same in the colours of each cluster.

    Args:
        image: (H, W, 3) uint8, BGR.
        colours: (K, 3, Q), see :class:`ms2a.datasets.MemoryColour`.
        columns: pictures beside each other.

    Returns:
        (H', W', 3) uint8, BGR.
    """
    return _tile([image, *(match_quantiles(image, colour) for colour in colours)], columns)


def _grid(prototypes: np.ndarray, columns: int, width: int) -> np.ndarray:
    cell_width = width // columns - GAP
    cell_height = max(1, round(cell_width * prototypes.shape[1] / prototypes.shape[2]))
    grid = _tile([_heat(prototype, (cell_height, cell_width)) for prototype in prototypes], columns)
    return cv2.copyMakeBorder(grid, 0, 0, 0, width - grid.shape[1], 0, value=(255,) * 3)


def prototype_grid(prototypes: np.ndarray, columns: int = 10, width: int = 480) -> np.ndarray:
    """Prototypes of one level as in :func:`prototype_sheet`, with nothing between them.

    Args:
        prototypes: (K, H, W).
        columns: prototypes beside each other.
        width: in pixels.

    Returns:
        (H', W', 4) uint8, BGR and opacity.
    """
    cell_width = width // columns - GAP
    cell_height = max(1, round(cell_width * prototypes.shape[1] / prototypes.shape[2]))
    heat = [
        np.dstack([_heat(prototype, (cell_height, cell_width)), np.full((cell_height, cell_width), 255, np.uint8)])
        for prototype in prototypes
    ]
    heat = [np.pad(cell, ((0, GAP), (0, GAP), (0, 0))) for cell in heat]
    heat += [np.zeros_like(heat[0])] * (-len(heat) % columns)
    return np.vstack([np.hstack(heat[start : start + columns]) for start in range(0, len(heat), columns)])


def _tile(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size, ``columns`` beside each other."""
    cells = [cv2.copyMakeBorder(picture, 0, GAP, 0, GAP, 0, value=(255,) * 3) for picture in pictures]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)])


def _heat(values: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    grey = np.uint8(255 * (values - low) / max(high - low, 1e-12))
    return cv2.applyColorMap(cv2.resize(grey, size_hw[::-1], interpolation=cv2.INTER_NEAREST), COLOURS)


def _caption(text: str, width: int) -> np.ndarray:
    strip = np.full((CAPTION_HEIGHT, width, 3), 255, np.uint8)
    return cv2.putText(strip, text, (2, CAPTION_HEIGHT - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
