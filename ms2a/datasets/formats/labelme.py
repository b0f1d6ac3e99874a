"""LabelMe: one JSON file a picture, with ``shapes``."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ms2a.artefacts import read_json
from ms2a.datasets.boxes import Box, box_of_ellipse, box_of_points
from ms2a.datasets.formats.builder import CocoBuilder, Picture
from ms2a.datasets.formats.files import annotation_files, whole_number, with_bar
from ms2a.errors import UserError

ROTATED_KINDS = ("oriented_rectangle", "rotation")
"""What LabelMe and X-AnyLabeling call a rectangle by four corners that is turned."""


class _Shape(NamedTuple):
    label: str
    kind: str
    box: Box
    ignore: bool
    group: Any

    def corners(self) -> tuple[tuple[float, float], ...]:
        x1, y1, x2, y2 = self.box
        return (x1, y1), (x2, y2)


def read_labelme(source: Path, builder: CocoBuilder) -> None:
    """Reads a folder of LabelMe files, to any depth, or one file.

    Args:
        source: the folder or file.
        builder: takes what is found.

    Raises:
        UserError: no LabelMe file, or one that is malformed.
    """
    paths = annotation_files(source, ".json")
    number = 0
    for path in with_bar(paths):
        content = read_json(path, "LabelMe file")
        if not is_labelme(content):
            builder.findings.note("JSON files passed over that are not LabelMe's", path.name)
            continue
        number += 1
        stated = whole_number(content.get("imageWidth")), whole_number(content.get("imageHeight"))
        stated = stated if min(stated) > 0 else None
        picture = builder.picture(content.get("imagePath"), path.stem, path, stated, same_folders=True)
        _add_objects([_read_shape(shape, path, builder) for shape in content["shapes"]], picture, builder)
    if not number:
        raise UserError(f"no LabelMe file in {source}; expected JSON files with 'shapes' and 'imagePath'")
    builder.left_out_pictures("pictures without a LabelMe file left out")


def is_labelme(content: Any) -> bool:
    """Whether what a JSON file holds is of LabelMe."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def _read_shape(shape: Any, path: Path, builder: CocoBuilder) -> _Shape | None:
    try:
        kind, label, group = shape.get("shape_type") or "polygon", str(shape["label"]), shape.get("group_id")
        box = _box(kind, [(float(x), float(y)) for x, y in shape["points"]])
        # Flags of the user's; X-AnyLabeling's "difficult" stands beside the label.
        stated = {**shape, **(shape.get("flags") or {})}
        flags = {str(name).lower(): value for name, value in stated.items()}
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"LabelMe file {path}: a shape cannot be read ({type(error).__name__}: {error})") from None
    if box is None:
        builder.findings.warn(f"shapes of kind {kind!r} left out, which enclose nothing", path.name)
        return None
    return _Shape(label, kind, box, builder.ignored(flags), group)


def _add_objects(shapes: Sequence[_Shape | None], picture: Picture, builder: CocoBuilder) -> None:
    """Adds shapes; those of one label and group are the visible parts of one object."""
    parts = defaultdict(list)
    for number, shape in enumerate(shapes):
        if shape is not None:
            parts[(shape.label, shape.group) if shape.group is not None else number].append(shape)
    for first, *others in parts.values():
        box, kind = first.box, first.kind
        if others:
            box, kind = box_of_points([corner for part in (first, *others) for corner in part.corners()]), "group"
        shape = {"rectangle": "", **dict.fromkeys(ROTATED_KINDS, "rotated boxes")}.get(kind, f"{kind}s")
        builder.add_box(picture, first.label, box, any(part.ignore for part in (first, *others)), shape=shape)


def _box(kind: str, points: list[tuple[float, float]]) -> Box | None:
    if kind == "rectangle" and len(points) < 3:
        (x1, y1), (x2, y2) = points  # in the order in which they were drawn
        return x1, y1, x2, y2
    if kind in ("rectangle", "polygon", *ROTATED_KINDS):  # X-AnyLabeling's rectangles have four corners
        return box_of_points(points)
    if kind == "circle":  # its centre and a point on it
        radius = math.dist(points[0], points[1])
        return box_of_ellipse(points[0], (radius, radius))
    if kind == "mask":  # the first and the last pixel of a bitmap
        x1, y1, x2, y2 = box_of_points(points)
        return x1, y1, x2 + 1, y2 + 1
    return None
