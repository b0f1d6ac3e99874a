"""Finds the files of a set, reads their headers, and tells equal files."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ms2a.datasets.check.cache import PictureCache, digest, partial_digest
from ms2a.datasets.check.headers import Header, read_header
from ms2a.datasets.check.working import Working
from ms2a.progress import Progress


def read_headers(data: Working, cache: PictureCache) -> None:
    """Reads the header of every picture; a name that leads nowhere is looked for by its last part."""
    if data.folder is None:
        return
    if not data.folder.is_dir() and str(data.folder):
        data.findings.add(
            "error", "image folder that does not exist", str(data.folder), f"set {data.options.folder_option}"
        )
        return
    lost, unreadable = [], []
    for image in Progress(data.coco["images"], desc="looking at pictures", unit="picture", leave=False, delay=2):
        path = data.path(image)
        header = header_of(path, cache)
        if header:
            data.headers[image["id"]] = header
        else:
            (unreadable if os.path.isfile(path) else lost).append(image)
    lost = [image for image in lost if not _find_again(data, image, cache)]
    remedy = f"set {data.options.folder_option}, now {data.folder}, to the folder that the names start from"
    _tell_missing(data, [_with_candidates(data, image["file_name"]) for image in lost], "do not exist", remedy)
    _tell_missing(data, [image["file_name"] for image in unreadable], "cannot be read", "they may be damaged or empty")
    data.missing = len(lost) + len(unreadable)


def header_of(path: Path, cache: PictureCache) -> Header | None:
    """A picture's header, from the cache if it is there."""
    fact = cache.fact(path, "header", read_header)
    return Header(tuple(fact[0]), *fact[1:]) if fact else None


def _find_again(data: Working, image: dict, cache: PictureCache) -> bool:
    name = data.pictures.find(image["file_name"]) if data.pictures else None
    header = header_of(data.folder / name, cache) if name else None
    if header is None:
        return False
    data.headers[image["id"]] = header
    image["file_name"] = name
    data.changed = True
    return True


def _with_candidates(data: Working, name: str) -> str:
    """A name, with the pictures that it may be."""
    found = data.pictures.candidates(name) if data.pictures else []
    return f"{name}, which may be {' or '.join(found[:2])}" if len(found) > 1 else name


def _tell_missing(data: Working, names: list[str], what: str, remedy: str) -> None:
    if not names:
        return
    everything = len(names) == len(data.coco["images"])
    if everything or data.options.is_test:
        more = "" if everything else ", and a test needs all of its pictures"
        data.findings.add("error", f"pictures that {what}{more}", names[0], remedy, len(names))
    else:
        data.findings.warn(f"pictures that {what} and are passed over in training", names[0], remedy, len(names))


def equal_files(paths: Iterable[Path], cache: PictureCache) -> list[list[Path]]:
    """Groups of files with the same bytes, each of two paths or more, in the order given.

    Only files of the same size and with the same three blocks are read whole.
    """
    groups = [list(dict.fromkeys(paths))]
    for content in (
        _size,
        lambda path: cache.fact(path, "blocks", partial_digest),
        lambda path: cache.fact(path, "digest", digest),
    ):
        groups = [part for group in groups for part in _divided(group, content)]
    return groups


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def _divided(paths: list[Path], content: Callable[[Path], Any]) -> list[list[Path]]:
    """The paths by their content, as far as several have the same; those without any are left out."""
    groups = defaultdict(list)
    for path in paths:
        groups[content(path)].append(path)
    return [group for key, group in groups.items() if key is not None and len(group) > 1]


def check_copies(data: Working, cache: PictureCache) -> None:
    """Warns of files that are copies of each other."""
    if data.folder is None:
        return
    names = {data.path(image): image["file_name"] for image in data.coco["images"] if image["id"] in data.headers}
    groups = equal_files(names, cache)
    data.copies = sum(len(group) - 1 for group in groups)
    if groups:
        one, other = (names[path] for path in groups[0][:2])
        remedy = "they count several times; leave one of each"
        what = "pictures that are copies of another one of the set, byte for byte"
        data.findings.warn(what, f"{other} is {one}", remedy, data.copies)
