"""Boxes as tools write them, brought to left, top, width, height in their picture."""

import math
from typing import Any

from pycocotools import mask

from ms2a.datasets.annotations import mend_annotations
from ms2a.datasets.boxes import NUMBER, as_xywh, as_xyxy, box_of_points, box_of_rotated_box, is_box, ordered_box
from ms2a.datasets.check.flags import attributes_of, stated_of
from ms2a.datasets.check.working import CORNERS, SIZES, Working

ROUNDING = 1.0
"""Pixels by which a tool that rounds may miss the edge of a picture."""
POLYGONS = "objects drawn as polygons or masks; the box around each is taken"
ORDERED = "boxes drawn from another corner than the upper left"
ROTATED = "rotated boxes; the upright box around each is taken"
THROUGHOUT = 0.3
"""Share of boxes that leave their picture from which on boxes are taken for something else; of corners, centred boxes
leave in one case of two."""


def check_forms(data: Working) -> None:
    """Makes upright boxes of polygons, of rotated boxes, of boxes drawn from another corner, and of stated corners."""
    for annotation in data.coco["annotations"]:
        if not _encloses(annotation.get("bbox")) and annotation.get("segmentation"):
            box = box_of_segmentation(annotation["segmentation"])
            if box is not None:
                annotation["bbox"] = box
                data.changed = True
                data.findings.note(POLYGONS, data.file_of(annotation))
    if data.box_form == CORNERS:
        _convert_corners(data)
    for annotation in data.coco["annotations"]:
        if is_box(annotation.get("bbox")):
            _order_and_enclose(data, annotation)


def _encloses(box: Any) -> bool:
    """Whether a box has an extent; tools that write none beside a polygon may write zeros."""
    return is_box(box) and box[2] != 0 and box[3] != 0


def box_of_segmentation(segmentation: Any) -> list[float] | None:
    """The box around polygons (lists of x and y in turn) or a mask in COCO's run lengths; None where malformed."""
    try:
        if isinstance(segmentation, dict):
            runs = segmentation
            if isinstance(runs["counts"], list):
                runs = mask.frPyObjects(runs, *runs["size"])
            return [float(value) for value in mask.toBbox(runs)]
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        points = [point for polygon in polygons for point in zip(polygon[0::2], polygon[1::2], strict=True)]
        return as_xywh(box_of_points([(float(x), float(y)) for x, y in points]))
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _convert_corners(data: Working) -> None:
    for annotation in data.coco["annotations"]:
        if is_box(annotation.get("bbox")):
            annotation["bbox"] = as_xywh(annotation["bbox"])
            data.changed = True
            data.findings.note("boxes read as corners x1, y1, x2, y2, as the data's description says")
    data.settle("box_form", SIZES)


def ask_about_corners(data: Working) -> None:
    """Finds width and height that look like the lower right corner: they leave the picture or contradict the area."""
    if data.box_form is not None:
        return
    sizes_wh = {image["id"]: (image["width"], image["height"]) for image in data.coco["images"] if _has_size(image)}
    boxes = [
        (annotation["bbox"], annotation.get("area"), sizes_wh[annotation["image_id"]])
        for annotation in data.coco["annotations"]
        if annotation["image_id"] in sizes_wh and is_box(annotation.get("bbox"))
    ]
    if not boxes or not all(_fits((x, y, x2 - x, y2 - y), size_wh) for (x, y, x2, y2), _, size_wh in boxes):
        return
    leaving = [box for box, _, size_wh in boxes if not _fits(box, size_wh)]
    contradicted = [box for box, area, _ in boxes if _area_of_corners(box, area)]
    said = leaving if len(leaving) >= THROUGHOUT * len(boxes) else contradicted
    if said and (said is leaving or len(contradicted) >= THROUGHOUT * len(boxes)):
        why = "leave their picture" if said is leaving else "contradict their 'area'"
        what = f"boxes of {len(boxes)} that {why} as x, y, width, height, while as corners x1, y1, x2, y2 all fit"
        remedy = "which are they? write x, y, width, height, or say 'box_form: corners' (--box-form), or 'sizes'"
        data.findings.add("error", what, str(list(said[0])), remedy, len(said))


def refuse_shares(data: Working) -> None:
    """Refuses boxes that are shares of the picture: as pixels all of them would be dropped."""
    boxes = [item["bbox"] for item in data.coco["annotations"] if is_box(item.get("bbox"))]
    if boxes and all(0 <= value <= 1 for box in boxes for value in box):
        remedy = "multiply them by width and height: boxes are x, y, width, height in pixels"
        what = "boxes, all of them between 0 and 1, as if they were shares of the picture"
        data.findings.add("error", what, str(boxes[0]), remedy, len(boxes))


def _has_size(image: dict[str, Any]) -> bool:
    return all(isinstance(image.get(side), NUMBER) and image[side] > 0 for side in ("width", "height"))


def _fits(box_xywh: Any, size_wh: tuple[float, float]) -> bool:
    x, y, width, height = box_xywh
    inside = x >= -ROUNDING and y >= -ROUNDING and x + width <= size_wh[0] + ROUNDING
    return inside and width > 0 and height > 0 and y + height <= size_wh[1] + ROUNDING


def fits(box_xywh: Any, size_wh: tuple[float, float]) -> bool:
    """Whether a box lies in a picture of that width and height, to a pixel; malformed boxes lie nowhere."""
    return is_box(box_xywh) and _fits(box_xywh, size_wh)


def _area_of_corners(box: Any, area: Any) -> bool:
    x, y, third, fourth = box
    if not isinstance(area, NUMBER) or area <= 0:
        return False
    as_corners = (third - x) * (fourth - y)
    return math.isclose(area, as_corners, rel_tol=0.02) and not math.isclose(area, third * fourth, rel_tol=0.1)


def _order_and_enclose(data: Working, annotation: dict[str, Any]) -> None:
    box_xyxy = as_xyxy(annotation["bbox"])
    name = data.file_of(annotation)
    if annotation["bbox"][2] < 0 or annotation["bbox"][3] < 0:
        data.findings.note(f"{ORDERED}, put in order", f"{annotation['bbox']} of {name}")
        box_xyxy = ordered_box(box_xyxy)
        annotation["bbox"] = as_xywh(box_xyxy)
        data.changed = True
    stated = stated_of(annotation).get("rotation")
    if degrees := _degrees(stated):
        annotation["bbox"] = as_xywh(box_of_rotated_box(box_xyxy, degrees))
        # The next reader must not turn the box once more.
        annotation.pop("rotation", None)
        if attributes := attributes_of(annotation):
            annotation["attributes"] = {**attributes, "rotation": 0}
        annotation.pop("area", None)
        data.findings.note(ROTATED, f"{degrees:g} degrees in {name}")
        data.changed = True
    elif degrees is None:
        data.findings.warn("values of 'rotation' that are no number; the box is taken as it stands", repr(stated))


def _degrees(stated: Any) -> float | None:
    """By how much a box is turned, 0 for half turns; None where what is stated is no number."""
    try:
        degrees = float(stated or 0)
    except (TypeError, ValueError):
        return None
    return degrees if degrees % 180 else 0.0


def mend_boxes(data: Working) -> None:
    """Clips, drops, completes and renumbers (see :func:`~ms2a.datasets.annotations.mend_annotations`)."""
    mended = mend_annotations(data.coco, data.findings)
    data.dropped += mended.dropped
    data.clipped += mended.clipped
    data.changed |= mended.changed
