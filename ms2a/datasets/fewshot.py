"""Few-annotation splits: small annotated subsets of a data set, each contained in the next larger one."""

import random
from collections.abc import Sequence
from typing import Any

from ms2a.datasets.annotations import clip_box
from ms2a.errors import UserError


def nested_splits(
    coco: dict[str, Any], counts: Sequence[int], seed: int, classes: Sequence[str] | None = None
) -> dict[int, dict[str, Any]]:
    """Draws nested subsets of annotated images: the smallest is part of the next, and so on.

    Only images with at least one valid box are drawn. Images that bring classes not seen yet come first, those that
    bring most before others, so that even the smallest split covers as many classes as it can; after that, and between
    equals, the order is random.

    Args:
        coco: COCO dictionary with ``images``, ``annotations`` and ``categories``; it is not changed.
        counts: numbers of images, each positive, in any order.
        seed: a different seed draws different images; the same one always the same, in whatever order the file lists
            its images.
        classes: names of the categories whose boxes count; default: all.

    Returns:
        For each count a COCO dictionary in the order of the original file, with all annotations of the drawn images
        and the draw recorded under ``"split"``.

    Raises:
        UserError: a count is not positive, or there are fewer images with boxes than the largest count.
    """
    counts = sorted(set(counts))
    if not counts or counts[0] < 1:
        raise UserError(f"numbers of annotated images must be positive, got {counts}")
    classes_of = _classes_by_image(coco, classes)
    if len(classes_of) < counts[-1]:
        raise UserError(
            f"{counts[-1]} annotated images asked for, but only {len(classes_of)} of {len(coco['images'])} images have "
            f"a valid box{f' of {list(classes)}' if classes else ''}; ask for fewer"
        )
    order = _draw_order(classes_of, seed)
    return {count: _subset(coco, set(order[:count]), count, seed) for count in counts}


def draw_subset(coco: dict[str, Any], classes: Sequence[str], count: int, seed: int) -> dict[str, Any]:
    """Draws at most ``count`` images with boxes of ``classes``, as :func:`nested_splits` does.

    Args:
        coco: COCO dictionary; it is not changed.
        classes: names of the categories whose boxes count.
        count: number of images, positive; where fewer have boxes, all of those are taken.
        seed: a different seed draws different images.

    Returns:
        A COCO dictionary; the given one where no image has a box of ``classes``.

    Raises:
        UserError: the count is not positive.
    """
    annotated = len(_classes_by_image(coco, classes))
    if not annotated:
        return coco
    count = min(count, annotated)
    return nested_splits(coco, [count], seed, classes)[count]


def _classes_by_image(coco: dict[str, Any], classes: Sequence[str] | None = None) -> dict[Any, set]:
    """Category ids of the valid boxes of every image that has any."""
    sizes_wh = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    known = {category["id"] for category in coco["categories"] if classes is None or category["name"] in classes}
    classes_of: dict[Any, set] = {}
    for annotation in coco["annotations"]:
        if annotation.get("iscrowd") or annotation.get("ignore") or annotation["category_id"] not in known:
            continue
        size_wh = sizes_wh.get(annotation["image_id"])
        if size_wh and clip_box(annotation.get("bbox"), size_wh):
            classes_of.setdefault(annotation["image_id"], set()).add(annotation["category_id"])
    return classes_of


def _draw_order(classes_of: dict[Any, set], seed: int) -> list:
    """Image ids in the order in which they are drawn."""
    shuffled = sorted(classes_of, key=str)
    random.Random(seed).shuffle(shuffled)
    missing = set().union(*classes_of.values())
    first = []
    while missing:
        # max() takes the first of equals, so ties follow the shuffled order.
        best = max(shuffled, key=lambda image_id: len(classes_of[image_id] & missing))
        missing -= classes_of[best]
        shuffled.remove(best)
        first.append(best)
    return first + shuffled


def _subset(coco: dict[str, Any], image_ids: set, count: int, seed: int) -> dict[str, Any]:
    return {
        **coco,
        "images": [image for image in coco["images"] if image["id"] in image_ids],
        "annotations": [annotation for annotation in coco["annotations"] if annotation["image_id"] in image_ids],
        "split": {"count": count, "seed": seed},
    }
