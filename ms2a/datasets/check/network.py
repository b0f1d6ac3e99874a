"""What is left of the boxes where the network sees them, and whether all of them can be found."""

import math
from collections import Counter
from statistics import median

from ms2a.datasets.check.working import Working

GONE, SMALL = 1, 8
"""Shorter sides, in pixels of the network's picture: below the first a box is left out of training; below the second,
the stride of the finest map, a box is hard to learn."""
STEP = 32


def shorter_sides(data: Working, image_size_hw: tuple[int, int]) -> list[float]:
    """The shorter side of every object in pixels of the network's picture, sorted."""
    height, width = image_size_hw
    scales = {image["id"]: min(height / image["height"], width / image["width"]) for image in data.coco["images"]}
    return sorted(min(item["bbox"][2:]) * scales[item["image_id"]] for item in data.objects())


def check_network_size(data: Working) -> None:
    """Counts the boxes that the network's picture is too small for."""
    size_hw = data.options.image_size_hw
    sides = shorter_sides(data, size_hw) if size_hw else []
    if not sides:
        return
    gone, small = (sum(side < limit for side in sides) for limit in (GONE, SMALL))
    if not small:
        return
    seen = "{}x{}".format(*size_hw)
    # At this size nine boxes of ten are not small.
    factor = SMALL / sides[len(sides) // 10]
    better = "[{}, {}]".format(*(math.ceil(side * factor / STEP) * STEP for side in size_hw))
    of_all = f"(of {len(sides)}, median {median(sides):.1f} px)"
    remedy = f"at image_size: {better} nine of ten would have {SMALL} px or more" if factor > 1 else ""
    if gone == len(sides):
        what = f"boxes {of_all} whose shorter side is under {GONE} px at image_size {seen}, so that none is left"
        data.findings.add("error", what, remedy=remedy, count=gone)
        return
    if gone:
        what = f"boxes {of_all} whose shorter side is under {GONE} px at image_size {seen}, which are not learned"
        data.findings.warn(what, remedy=remedy, count=gone)
    what = f"boxes {of_all} whose shorter side is under {SMALL} px at image_size {seen}"
    severity = "warning" if 2 * small > len(sides) else "note"
    data.findings.add(severity, what, remedy=remedy, count=small)


def most_objects(data: Working) -> int:
    """The largest number of objects in one picture."""
    return max(Counter(item["image_id"] for item in data.objects()).values(), default=0)


def check_limit(data: Working) -> None:
    """Compares the most objects in a picture with the number of detections that are kept of a picture."""
    most, limit = most_objects(data), data.options.max_per_img
    if limit is not None and limit > 0 and most > limit:
        what = f"pictures with more objects than the {limit} detections that are kept of a picture"
        counts = Counter(item["image_id"] for item in data.objects())
        remedy = f"set max_per_img={limit_for(most)}"
        data.findings.warn(what, f"{most} objects", remedy, sum(count > limit for count in counts.values()))


def limit_for(most: int, at_least: int = 100) -> int:
    """How many detections to keep of a picture with so many objects: twice as many, in whole hundreds."""
    return at_least if 2 * most <= at_least else math.ceil(2 * most / 100) * 100
