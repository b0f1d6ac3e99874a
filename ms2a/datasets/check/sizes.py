"""Stated sizes against the pictures' own, and boxes of pictures with a rotation tag."""

from collections import Counter
from typing import Any

from ms2a.datasets.check.boxes import fits
from ms2a.datasets.check.headers import Header, upright_box
from ms2a.datasets.check.working import STORED, UPRIGHT, Working

SAY = "say which with 'boxes_of: stored' or 'boxes_of: upright' (--boxes-of)"
BY_A_PIXEL = 1
"""A stated size may miss by so many pixels: tools that scale pictures round in different ways."""


def check_sizes(data: Working) -> None:
    """Compares every stated size with the picture's, fills in missing ones, and brings boxes to upright pictures."""
    _settle_rotations(data)
    _leave_out_without_size(data)
    for image in data.coco["images"]:
        header = data.headers.get(image["id"])
        if header is None:
            continue
        stated_wh = (image.get("width"), image.get("height"))
        if stated_wh in (header.size_wh, header.stored_wh):  # the latter where the rotation could not be settled
            continue
        if not all(stated_wh):
            data.findings.note("pictures without a stated size; it is read from the file", image["file_name"])
        elif max(abs(a - b) for a, b in zip(stated_wh, header.size_wh, strict=True)) > BY_A_PIXEL:
            example = "{}: {:g}x{:g} stated, {}x{} in the file".format(image["file_name"], *stated_wh, *header.size_wh)
            remedy = "give the pictures that were annotated, or annotations of these pictures"
            data.findings.add("error", "pictures of another size than their annotations state", example, remedy)
        else:
            data.findings.note("pictures whose stated size misses by a pixel", image["file_name"])
        image["width"], image["height"] = header.size_wh
        data.changed = True


def _leave_out_without_size(data: Working) -> None:
    """Leaves out pictures that state no size and whose file does not tell it."""
    unknown = [
        image
        for image in data.coco["images"]
        if image["id"] not in data.headers and not (image.get("width") and image.get("height"))
    ]
    if not unknown:
        return
    ids = {image["id"] for image in unknown}
    data.coco["images"] = [image for image in data.coco["images"] if image["id"] not in ids]
    own = [item for item in data.coco["annotations"] if item["image_id"] in ids]
    data.coco["annotations"] = [item for item in data.coco["annotations"] if item["image_id"] not in ids]
    data.dropped += len(own)
    data.changed = True
    what = "pictures left out that state no size and whose file cannot be read"
    severity, remedy = "warning", f"check {data.options.folder_option}"
    if data.folder is None:
        severity, remedy = "error", f"give {data.options.folder_option}, to read sizes from the pictures"
    data.findings.add(severity, f"{what}, with {len(own)} boxes", unknown[0]["file_name"], remedy, len(unknown))


def _settle_rotations(data: Working) -> None:
    """One rule for every stage: pictures are turned by their tag when they are decoded, and boxes with them."""
    turned = [
        (image, header)
        for image in data.coco["images"]
        if (header := data.headers.get(image["id"])) and header.orientation != 1
    ]
    if not turned:
        return
    boxes_of, by_image = data.boxes_of, data.by_image()
    if boxes_of is None:
        boxes_of = _vote(data, turned, by_image)
    for image, header in turned:
        if boxes_of == STORED:
            for annotation in by_image.get(image["id"], ()):
                _turn(annotation, header)
        if boxes_of and (image.get("width"), image.get("height")) == header.stored_wh != header.size_wh:
            image["width"], image["height"] = header.size_wh
            data.changed = True
    if boxes_of:
        data.settle("boxes_of", UPRIGHT)
        how = "turned with the picture" if boxes_of == STORED else "kept"
        what = f"pictures with a rotation tag, which every stage turns upright; their boxes fit the {boxes_of} pixels"
        data.findings.note(f"{what} and are {how}", turned[0][0]["file_name"], count=len(turned))


def _turn(annotation: dict[str, Any], header: Header) -> None:
    annotation.pop("segmentation", None)  # it would contradict the box
    if fits(annotation.get("bbox"), (float("inf"), float("inf"))):
        annotation["bbox"] = upright_box(annotation["bbox"], header.stored_wh, header.orientation)


def _vote(data: Working, turned: list[tuple[dict, Header]], by_image: dict[Any, list]) -> str | None:
    """The pixels that the boxes are in, by those pictures of the set that tell; None if refused."""
    votes: Counter[str] = Counter()
    with_boxes = [pair for pair in turned if by_image.get(pair[0]["id"])]
    for image, header in with_boxes:
        vote = _evidence(image, header, [item.get("bbox") for item in by_image[image["id"]]])
        if vote:
            votes[vote] += 1
    if len(votes) == 1:
        return next(iter(votes))
    if not with_boxes:
        return UPRIGHT
    if votes:
        what = "pictures with a rotation tag, the boxes of {} in stored pixels, of {} in upright ones"
        what, remedy = what.format(votes[STORED], votes[UPRIGHT]), f"annotate all in the same way, or {SAY}"
    else:
        what = "pictures with a rotation tag whose boxes fit both the stored and the upright pixels"
        remedy = f"{SAY}, or save the pictures without the tag"
    data.findings.add("error", what, with_boxes[0][0]["file_name"], remedy, len(with_boxes))
    return None


def _evidence(image: dict[str, Any], header: Header, boxes: list[Any]) -> str | None:
    """What one picture's boxes, then its stated size, say about the pixels that they are in."""
    if header.stored_wh == header.size_wh:
        return None
    in_stored = all(fits(box, header.stored_wh) for box in boxes)
    in_upright = all(fits(box, header.size_wh) for box in boxes)
    if in_stored != in_upright:
        return STORED if in_stored else UPRIGHT
    # A tool that states the size of the stored pixels may still have shown the upright picture; not the other way.
    return UPRIGHT if (image.get("width"), image.get("height")) == header.size_wh and in_upright else None
