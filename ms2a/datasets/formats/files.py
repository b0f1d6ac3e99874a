"""The files of a folder of annotations."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ms2a.artefacts import read_text
from ms2a.progress import Progress

Item = TypeVar("Item")


def with_bar(items: Collection[Item]) -> Iterable[Item]:
    """The items, one a file, with a bar where reading them takes over two seconds."""
    return Progress(items, desc="reading annotations", unit="file", leave=False, delay=2)


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order; hidden ones (editors' copies, ``._a.xml`` of macOS) are passed over."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def annotation_files(source: Path, suffix: str) -> list[Path]:
    """The file itself, or the files below a folder whose names end in ``suffix``, in any case."""
    if source.is_file():
        return [source]
    return [path for path in walk(source) if path.suffix.lower() == suffix]


def whole_number(value: Any) -> int:
    """The whole number that a value or a text gives; 0 if it gives none."""
    try:
        return int(float(value or 0))
    except (TypeError, ValueError, OverflowError):
        return 0


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Number and content of the lines of a text file that are not empty.

    Raises:
        UserError: the file is not UTF-8.
    """
    lines = read_text(path, "file").splitlines()
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
