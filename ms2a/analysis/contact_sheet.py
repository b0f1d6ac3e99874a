"""A dozen pictures of a set with their boxes, as the detector will see them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ms2a.analysis.detections import draw_detections
from ms2a.analysis.pictures import write_picture
from ms2a.datasets.check.depth import WIDEST
from ms2a.datasets.check.headers import read_header
from ms2a.datasets.check.result import CheckedSet
from ms2a.datasets.load_picture import read_picture
from ms2a.errors import UserError

NUM_PICTURES, COLUMNS = 12, 4
CELL_WH = (480, 360)
CAPTION_HEIGHT, GAP = 24, 4
BACKGROUND = 255
IGNORED = "(ignored)"
FONT = cv2.FONT_HERSHEY_SIMPLEX


def contact_sheet(checked: CheckedSet, bit_depth: int | None = None) -> tuple[np.ndarray | None, list[str]]:
    """Draws pictures that are evenly spaced in the set, not picked, those with boxes first.

    Args:
        checked: the set.
        bit_depth: see :func:`ms2a.datasets.load_picture.read_picture`.

    Returns:
        (H, W, 3) uint8, BGR, or None where no picture can be read; and the names of pictures that are there but cannot
        be decoded, though their headers can be read.
    """
    boxes = _boxes_by_image(checked)
    images = [image for image in checked.coco["images"] if image["id"] in boxes] or checked.coco["images"]
    chosen = np.linspace(0, len(images) - 1, min(NUM_PICTURES, len(images))).round().astype(int) if images else ()
    classes = [*checked.boxes, IGNORED]
    cells, damaged = [], []
    for image in (images[index] for index in chosen):
        path = Path(checked.folder or "", image["file_name"])
        try:
            picture = read_picture(path, bit_depth)
        except UserError:
            header = read_header(path)
            damaged += [image["file_name"]] if header and header.bits <= WIDEST else []  # the others are known
            continue
        cells.append(_cell(picture, boxes.get(image["id"], ()), classes, image["file_name"]))
    if not cells:
        return None, damaged
    cells += [np.full_like(cells[0][:1], BACKGROUND)] * (-len(cells) % COLUMNS)
    return np.vstack([_row(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]), damaged


def write_contact_sheet(checked: CheckedSet, path: Path, bit_depth: int | None = None) -> list[str]:
    """Writes the sheet as a JPEG, nothing where no picture can be read; returns what could not be decoded."""
    sheet, damaged = contact_sheet(checked, bit_depth)
    if sheet is not None:
        write_picture(sheet, path, jpeg_quality=85)
    return damaged


def _boxes_by_image(checked: CheckedSet) -> dict[Any, list[Mapping[str, Any]]]:
    """The annotations of the classes of each image that has some, with the name that is written beside each."""
    names = {category["id"]: category["name"] for category in checked.coco.get("categories", ())}
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for item in checked.coco.get("annotations", ()):
        if names.get(item["category_id"]) in checked.boxes:
            name = IGNORED if item.get("iscrowd") else names[item["category_id"]]
            found.setdefault(item["image_id"], []).append({"name": name, "bbox": item["bbox"]})
    return found


def _cell(picture: np.ndarray, boxes: Sequence[Mapping[str, Any]], classes: Sequence[str], name: str) -> np.ndarray:
    """One picture, at most as large as a cell, its name below."""
    width, height = CELL_WH
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    drawn = [[] for _ in classes]
    for item in boxes:
        x, y, box_width, box_height = (value * scale for value in item["bbox"])
        drawn[classes.index(item["name"])].append([x, y, x + box_width, y + box_height, 1.0])
    arrays = [np.reshape(np.array(part, float), (-1, 5)) for part in drawn]
    picture = draw_detections(picture, arrays, classes, with_scores=False)
    cell = np.full((size[1] + CAPTION_HEIGHT, width + GAP, 3), BACKGROUND, np.uint8)
    cell[: size[1], : size[0]] = picture
    cv2.putText(cell, name[-60:], (4, size[1] + CAPTION_HEIGHT - 8), FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def _row(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Cells beside each other, as high as the highest."""
    height = max(map(len, cells))
    return np.hstack(
        [np.pad(cell, ((0, height - len(cell)), (0, 0), (0, 0)), constant_values=BACKGROUND) for cell in cells]
    )
