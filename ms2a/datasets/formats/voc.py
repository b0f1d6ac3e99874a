"""Pascal VOC: one XML file a picture, ``<annotation>`` with ``<object>``s."""

import os
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ms2a.datasets.boxes import Box
from ms2a.datasets.findings import Findings
from ms2a.datasets.formats.builder import CocoBuilder
from ms2a.datasets.formats.files import annotation_files, read_lines, whole_number, with_bar
from ms2a.datasets.image_folder import IMAGE_SUFFIXES
from ms2a.errors import UserError

ONES_TO_A_ZERO = 4
"""So many corners at 1 outweigh one below 1: files that count from 0 have both, those from 1 have one below by mistake
only."""


class _VocObject(NamedTuple):
    label: str
    box: Box  # as it stands in the file
    ignore: bool
    degrees: float


def read_voc(
    xml: Path, builder: CocoBuilder, first_pixel: int | None = None, listed: Sequence[str] | None = None
) -> None:
    """Reads a folder of VOC files, to any depth, or one file.

    VOC itself counts pixels from 1 and includes the last one: 1, 1, 10, 20 is 10 wide and 20 high. Most tools write the
    corners from 0 and exclude the last: 0, 0, 10, 20 is the same box. An object that is difficult becomes a region to
    ignore.

    Args:
        xml: the folder or file.
        builder: takes what is found.
        first_pixel: what the upper left pixel is called, 0 or 1; None: found out from the values.
        listed: names without ending, as in ``ImageSets/Main``: only these; a name without an XML file is a picture
            without an object.

    Raises:
        UserError: no XML file, one that is malformed or not VOC, or a box that is not four numbers.
    """
    paths = annotation_files(xml, ".xml")
    if not paths:
        raise UserError(f"no XML files in {xml}; expected one for each annotated image")
    without_xml: list[str] = []
    if listed is not None:
        paths, without_xml = _listed(paths, listed)
    roots = [parse_xml(path, "annotation") for path in with_bar(paths)]
    objects = [
        [_object(element, path, builder) for element in root.iter("object")]
        for root, path in zip(roots, paths, strict=True)
    ]
    builder.first_pixel = origin = _origin(
        roots, [item.box for items in objects for item in items], first_pixel, builder.findings
    )
    for path, root, items in zip(paths, roots, objects, strict=True):
        size = tuple(whole_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
        stated = size if min(size) > 0 else None
        picture = builder.picture(root.findtext("filename"), path.stem, path, stated, same_folders=True)
        for label, box, ignore, degrees in items:
            builder.add_box(picture, label, _from_zero(box, origin), ignore, degrees)
    for name in without_xml:
        picture = builder.picture(None, name, xml)
        builder.findings.note("pictures listed that have no XML file, taken for empty", picture.name)
    if listed is None:
        remedy = "name the empty ones in a list to take them (list: or --list)"
        builder.left_out_pictures("pictures without an XML file left out", remedy)
    else:
        builder.left_out_pictures("pictures that are not on the list left out")


def read_list(path: str | os.PathLike) -> list[str]:
    """The names that a list as in ``ImageSets/Main`` selects; only the first word of a line counts.

    Raises:
        UserError: there is no such file, or no name in it.
    """
    if not Path(path).is_file():
        raise UserError(f"list {path} does not exist; check the path")
    names = [line.split()[0] for _, line in read_lines(Path(path))]
    if not names:
        raise UserError(f"list {path} holds no name; expected one a line, without ending")
    return names


def _listed(paths: Sequence[Path], names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The files of listed names, which may have folders and an ending of images; and the names without a file."""
    by_stem = defaultdict(list)
    for path in paths:
        by_stem[path.stem].append(path)
    found, missing = [], []
    for name in dict.fromkeys(names):
        stem, ending = os.path.splitext(name)
        stem = stem if ending.lower() in IMAGE_SUFFIXES else name
        own = by_stem[PurePosixPath(stem).name]
        found += [path for path in own if path.with_suffix("").as_posix().endswith(f"/{stem}")] or own
        missing += [] if own else [stem]
    return list(dict.fromkeys(found)), missing


def parse_xml(path: Path, root_name: str) -> ET.Element:
    """The root element of an XML file.

    Raises:
        UserError: the file is missing or malformed, or its root has another name.
    """
    try:
        root = ET.parse(path).getroot()
    except FileNotFoundError:
        raise UserError(f"XML file {path} does not exist; check the path") from None
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding that is not known
        raise UserError(f"XML file {path} is malformed ({error}); it may be truncated") from None
    if root.tag != root_name:
        raise UserError(f"XML file {path} holds <{root.tag}>, expected <{root_name}>; is it of another format?")
    return root


def _object(element: ET.Element, path: Path, builder: CocoBuilder) -> _VocObject:
    name = (element.findtext("name") or "").strip()
    try:
        box = tuple(float(element.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax"))
        # CVAT writes the straight box and the angle beside it.
        attributes = {item.findtext("name"): item.findtext("value") for item in element.iter("attribute")}
        degrees = float(attributes.get("rotation") or 0)
    except (TypeError, ValueError):
        raise UserError(f"XML file {path}: object {name!r} has no complete bndbox of four numbers") from None
    if not name:
        raise UserError(f"XML file {path}: an object has no name")
    ignore = builder.ignored({child.tag: child.text for child in element})
    return _VocObject(name, box, ignore, degrees)


def _origin(roots: Sequence[ET.Element], boxes: Sequence[Box], first_pixel: int | None, findings: Findings) -> int:
    """What the upper left pixel is called; says which was taken and why."""
    corners = [min(a, b) for x1, y1, x2, y2 in boxes for a, b in ((x1, x2), (y1, y2))]
    below, ones = sum(value < 1 for value in corners), sum(1 <= value < 2 for value in corners)
    tools = {_tool(root) for root in roots}
    remedy = ""
    if first_pixel is not None:
        origin, reason = first_pixel, "as asked"
    elif below and below * ONES_TO_A_ZERO >= ones:
        origin, reason = 0, f"{below} of {len(corners)} corners lie below 1 and {ones} at 1"
    elif below == 0 and None not in tools:
        origin, reason = 0, f"{' and '.join(sorted(tools))} count from 0 though no corner lies below 1"
    elif ones:
        origin, reason = 1, f"{ones} of {len(corners)} corners lie at 1 and {below} below"
    else:
        origin, reason = 1, "as Pascal VOC does; no corner lies at 0 or 1, which would tell"
        remedy = "say first_pixel: 0 if the tool counts from 0"
    findings.note(f"VOC pixels counted from {origin} ({reason}), boxes", remedy=remedy, count=len(boxes))
    return origin


def _tool(root: ET.Element) -> str | None:
    """The tool that wrote a file, if it is known to count from 0 (docs/annotation_tools.md)."""
    if root.findtext("owner/name") == "Label Studio":
        return "files of Label Studio"
    if root.findtext("source/database") == "Unknown":
        if root.findtext("source/annotation") == "Unknown":
            return "files of datumaro"
        if root.find("path") is not None:
            return "files of labelImg"
    return None


def _from_zero(box: Box, origin: int) -> Box:
    """Counted from 0 to behind the last pixel; of two corners the smaller is the first pixel, whichever comes first."""
    x1, y1, x2, y2 = box
    return x1 - origin * (x1 <= x2), y1 - origin * (y1 <= y2), x2 - origin * (x2 < x1), y2 - origin * (y2 < y1)
