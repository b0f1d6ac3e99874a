"""A part of a data set held out by a seed."""

import random
from typing import Any

from ms2a.errors import UserError


def hold_out(coco: dict[str, Any], fraction: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draws the pictures of a validation set; whether a picture has boxes does not matter.

    Args:
        coco: COCO dictionary; it is not changed.
        fraction: of the pictures, above 0 and below 1.
        seed: another seed draws others; the same one always the same, in whatever order the pictures are listed.

    Returns:
        The dictionaries of the training and of the validation set, each with its draw under ``"split"``.

    Raises:
        UserError: one of the sets would be empty.
    """
    names = sorted(image["file_name"] for image in coco["images"])
    count = round(fraction * len(names))
    if not 0 < count < len(names):
        raise UserError(f"a fraction of {fraction} of {len(names)} pictures leaves one set empty; use another one")
    drawn = set(random.Random(seed).sample(names, count))
    return _part(coco, set(names) - drawn, "train", fraction, seed), _part(coco, drawn, "val", fraction, seed)


def _part(coco: dict[str, Any], names: set[str], part: str, fraction: float, seed: int) -> dict[str, Any]:
    images = [image for image in coco["images"] if image["file_name"] in names]
    ids = {image["id"] for image in images}
    annotations = [annotation for annotation in coco["annotations"] if annotation["image_id"] in ids]
    split = {"part": part, "fraction": fraction, "seed": seed}
    return {**coco, "images": images, "annotations": annotations, "split": split}
