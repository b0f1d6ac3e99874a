"""CVAT XML 1.1: one file for many pictures, either by ``<image>`` or by ``<track>`` over the frames of a video."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ms2a.datasets.boxes import Box, box_of_ellipse, box_of_points, box_of_rotated_box
from ms2a.datasets.formats.builder import CocoBuilder, Picture
from ms2a.datasets.formats.files import annotation_files
from ms2a.datasets.formats.voc import parse_xml
from ms2a.errors import UserError

CUBOID_CORNERS = [(f"x{corner}{face}", f"y{corner}{face}") for corner in ("tl", "bl", "tr", "br") for face in (1, 2)]


class _Shape(NamedTuple):
    label: str
    kind: str
    box: Box
    degrees: float = 0.0
    ignore: bool = False
    outside: bool = False


def read_cvat(source: Path, builder: CocoBuilder) -> None:
    """Reads an ``annotations.xml`` or the folder that holds it.

    A picture that is listed, or a frame of a video, without a shape is a picture without an object. A shape with an
    attribute that says ignore, iscrowd or difficult is a region to ignore.

    Args:
        source: the file or folder.
        builder: takes what is found.

    Raises:
        UserError: no such file, several, or a shape that is not complete.
    """
    paths = annotation_files(source, ".xml")
    if len(paths) != 1:
        raise UserError(f"{len(paths)} XML files in {source}, expected the one that CVAT writes; name it")
    (path,) = paths
    root = parse_xml(path, "annotations")
    builder.declared = list(dict.fromkeys(label.findtext("name", "") for label in root.iter("label")))
    try:
        for element in root.iter("image"):
            picture = _listed_picture(element, path, builder)
            _add([_shape(child, child.get("label", ""), path, builder) for child in element], picture, builder)
        if root.find("image") is None:
            _read_tracks(root, path, builder)
    except UserError:
        raise
    except ValueError as error:  # in a size, or the number of a frame
        raise UserError(f"{path} is not as CVAT writes it ({error})") from None
    builder.left_out_pictures("pictures that the CVAT file does not list left out")


def _listed_picture(element: ET.Element, path: Path, builder: CocoBuilder) -> Picture:
    name = element.get("name", "")
    # A project may hold the same name in several subsets, each in a folder of its own.
    in_subset = f"{element.get('subset')}/{name}"
    name = in_subset if (builder.pictures.folder / in_subset).is_file() else name
    stated = int(element.get("width", 0)), int(element.get("height", 0))
    return builder.picture(name, PurePosixPath(name).stem, path, stated if all(stated) else None)


def _add(shapes: list[_Shape | None], picture: Picture, builder: CocoBuilder) -> None:
    for shape in shapes:
        if shape is not None and not shape.outside:
            plural = {"box": "", "ellipse": "ellipses"}.get(shape.kind, f"{shape.kind}s")
            builder.add_box(picture, shape.label, shape.box, shape.ignore, shape.degrees, plural)


def _read_tracks(root: ET.Element, path: Path, builder: CocoBuilder) -> None:
    """Turns tracks into frames. CVAT lists every frame of a track; ``outside`` says that the object has gone."""
    tasks = list(root.iter("task")) or list(root.iter("job"))
    if len(tasks) != 1:
        raise UserError(
            f"{path} holds tracks of {len(tasks)} tasks, whose frames share numbers; export one task a file"
        )
    frames = _frames(tasks[0], path, builder)
    shapes: dict[int, list[_Shape]] = {number: [] for number in frames}
    for track in root.iter("track"):
        listed = {}
        for child in track:
            if shape := _shape(child, track.get("label", ""), path, builder):
                listed[int(child.get("frame", -1))] = shape
        for number, shape in _between(listed, frames, path, builder).items():
            if number in frames:
                shapes[number].append(shape)
            elif not shape.outside:
                builder.findings.warn("shapes left out on frames without a picture", f"frame {number} of {path.name}")
    size = tuple(int(root.findtext(f".//original_size/{side}") or 0) for side in ("width", "height"))
    for number, name in frames.items():
        _add(shapes[number], builder.picture(name, "", path, size if all(size) else None), builder)


def _frames(task: ET.Element, path: Path, builder: CocoBuilder) -> dict[int, str]:
    """The picture of each frame: by the number in its name, else by its place among all pictures."""
    start = int(task.findtext("start_frame") or 0)
    names = builder.pictures.names
    numbers = [re.fullmatch(r"frame_(\d+)", PurePosixPath(name).stem) for name in names]
    if all(numbers):
        frames = {int(match.group(1)): name for match, name in zip(numbers, names, strict=True)}
        if len(frames) < len(names):
            raise UserError(f"several pictures of one frame in {builder.pictures.folder}; leave those of one video")
        stop = int(task.findtext("stop_frame") or max(frames))
        return {number: name for number, name in sorted(frames.items()) if start <= number <= stop}
    size = int(task.findtext("size") or 0)
    if size != len(names):
        raise UserError(
            f"{path} is about {size} frames, but {builder.pictures.folder} holds {len(names)} pictures, not all called "
            "frame_000000 and so on; give the frames of this video only"
        )
    step = re.search(r"step=(\d+)", task.findtext("frame_filter") or "")
    step = int(step.group(1)) if step else 1
    builder.findings.warn(
        "pictures taken for frames in the order of their names", f"frame {start}: {names[0]}", count=size
    )
    return {start + step * place: name for place, name in enumerate(names)}


def _between(listed: dict[int, _Shape], frames: dict[int, str], path: Path, builder: CocoBuilder) -> dict[int, _Shape]:
    """The shapes of a track with those of frames between; other programs list key frames only."""
    every = dict(listed)
    for first, last in pairwise(sorted(listed)):
        a, b = listed[first], listed[last]
        if a.outside:  # gone until it is listed again
            continue
        for number in (number for number in frames if first < number < last):
            part = (number - first) / (last - first)
            box = tuple(x + part * (y - x) for x, y in zip(_upright(a), _upright(b), strict=True))
            every[number] = _Shape(a.label, a.kind, box, ignore=a.ignore)
            builder.findings.note("shapes interpolated between two listed frames", f"frame {number} of {path.name}")
    return every


def _upright(shape: _Shape) -> Box:
    return box_of_rotated_box(shape.box, shape.degrees)


def _shape(element: ET.Element, label: str, path: Path, builder: CocoBuilder) -> _Shape | None:
    """The shape of an element; None, and said, where it encloses nothing."""
    try:
        box = _box(element)
        # An ellipse is turned before its box is taken.
        degrees = float(element.get("rotation", 0)) if element.tag == "box" else 0.0
    except (KeyError, TypeError, ValueError, IndexError):
        raise UserError(f"{path}: <{element.tag}> is not complete: {dict(element.attrib)}") from None
    if box is None:
        builder.findings.warn(f"<{element.tag}> elements left out, which enclose no object", path.name)
        return None
    attributes = {item.get("name", "").lower(): item.text for item in element.iter("attribute")}
    ignore = builder.ignored(attributes)
    return _Shape(label, element.tag, box, degrees, ignore, element.get("outside") == "1")


def _box(element: ET.Element) -> Box | None:
    numbers = element.attrib
    if element.tag == "box":
        return tuple(float(numbers[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    if element.tag == "polygon":
        return box_of_points([tuple(map(float, pair.split(","))) for pair in numbers["points"].split(";")])
    if element.tag == "ellipse":
        cx, cy, rx, ry = (float(numbers[key]) for key in ("cx", "cy", "rx", "ry"))
        return box_of_ellipse((cx, cy), (rx, ry), float(numbers.get("rotation", 0)))
    if element.tag == "cuboid":
        return box_of_points([(float(numbers[x]), float(numbers[y])) for x, y in CUBOID_CORNERS])
    if element.tag == "mask":
        return _box_of_mask(numbers)
    return None


def _box_of_mask(numbers: dict[str, str]) -> Box | None:
    """The box around the pixels of a mask: runs of 0 and 1 in turn, row by row, in a window of the picture."""
    left, top, width, height = (int(numbers[key]) for key in ("left", "top", "width", "height"))
    runs = np.array([int(run) for run in numbers["rle"].split(",")])
    inside = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1
