"""Which format annotations are in, by their content."""

import os
import re
import xml.etree.ElementTree as ET
from itertools import islice
from pathlib import Path

from ms2a.artefacts import read_json
from ms2a.datasets.formats.files import read_lines, walk
from ms2a.datasets.formats.kitti import COLUMNS
from ms2a.datasets.formats.labelme import is_labelme
from ms2a.datasets.formats.yolo import NAME_FILES
from ms2a.errors import UserError

FORMATS = ("coco", "voc", "yolo", "labelme", "cvat", "kitti")

_COCO_START = re.compile(r'\s*\{\s*"(images|annotations|categories|info|licenses)"\s*:')

ARCHIVES = (".zip", ".gz", ".tar", ".tgz", ".7z")

PROBED_FILES = 100
"""How many files of a kind are looked into before a folder is declared to hold no annotations."""


def detect_format(source: str | os.PathLike) -> str:
    """The format of a file or of the files in a folder.

    Args:
        source: the annotations.

    Returns:
        One of :data:`FORMATS`.

    Raises:
        UserError: nothing there, no annotations, or those of several formats.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(f"annotations {source} do not exist; check the path")
    files = [path] if path.is_file() else list(walk(path))
    found = {format: example for example, format in _formats(files)}
    if not found:
        archive = "unpack the archive first; " if path.suffix.lower() in ARCHIVES else ""
        raise UserError(f"no annotations in {source}; {archive}known formats: {', '.join(FORMATS)}")
    if len(found) > 1:
        examples = ", ".join(f"{format} ({example.name})" for format, example in found.items())
        raise UserError(f"{source} holds annotations of several formats: {examples}; say which with `format`")
    return next(iter(found))


def holds_annotations(folder: str | os.PathLike) -> bool:
    """Whether a folder holds annotations of any known format; else it may be one of pictures only."""
    return bool(_formats(list(walk(Path(folder)))))


def _formats(files: list[Path]) -> list[tuple[Path, str]]:
    """An example and its format, of each kind of file that is annotations at all."""
    results = []
    for suffixes, format_of in (((".xml",), _of_xml), ((".json",), _of_json), ((".txt",), _of_text)):
        candidates = (file for file in files if file.suffix.lower() in suffixes and file.name not in NAME_FILES)
        known = ((file, format_of(file)) for file in islice(candidates, PROBED_FILES))
        results += islice((pair for pair in known if pair[1]), 1)
    # A YOLO folder without a single object has only the list of names to tell it by.
    if not results:
        results += [(file, "yolo") for file in files if file.name in NAME_FILES or file.suffix in (".yaml", ".yml")][:1]
    return results


def _of_xml(path: Path) -> str | None:
    try:
        _, root = next(ET.iterparse(path, events=("start",)))  # the first element is enough
    except (ET.ParseError, LookupError, ValueError, StopIteration) as error:
        raise UserError(f"XML file {path} is malformed ({error}); it may be truncated") from None
    return {"annotations": "cvat", "annotation": "voc"}.get(root.tag)


def _of_json(path: Path) -> str | None:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        if _COCO_START.match(file.read(100)):  # the file may be large; once is enough to parse it
            return "coco"
    content = read_json(path, "annotation file")
    if is_labelme(content):
        return "labelme"
    return "coco" if isinstance(content, dict) and "images" in content else None


def _of_text(path: Path) -> str | None:
    try:
        lines = read_lines(path)
    except UserError:
        return None
    words = lines[0][1].split() if lines else []
    numbers = [_is_number(word) for word in words]
    if len(words) >= 5 and all(numbers):
        return "yolo"
    return "kitti" if len(words) in COLUMNS and not numbers[0] and all(numbers[1:]) else None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
