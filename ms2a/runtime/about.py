"""What an exported file says of itself, read without any runtime."""

import json
import mmap
import os
from collections.abc import Iterator
from typing import Any

METADATA_KEY = "ms2a"
STRIDES = (8, 16, 32)
IMAGES, DOMAIN, DETECTIONS = "images", "domain", ("detections", "labels")
RAW = tuple(f"{name}{stride}" for name in ("class", "box", "objectness") for stride in STRIDES)


class ExportError(ValueError):
    """A file, a picture or an option that can't be used: the message names it and what to do."""


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """What a file says of itself: classes, domains, frame, thresholds.

    Raises:
        ExportError: the file is missing, damaged, or was not made by this version's ``ms2a export``.
    """
    if not os.path.isfile(path):
        raise ExportError(f"ONNX file {path} does not exist; check the path")
    about: dict[str, Any] = {}
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for number, value in _fields(content):
                if number == 14:  # ModelProto.metadata_props, pairs of key (1) and value (2)
                    pair = {which: bytes(text).decode() for which, text in _fields(value)}
                    about |= json.loads(pair[2]) if pair[1] == METADATA_KEY else {}
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise ExportError(f"ONNX file {path} cannot be read ({error}); export it again") from None
    if "preprocessing" not in about:
        raise ExportError(f"ONNX file {path} does not say what a detector needs; export it again by ms2a export")
    return about


def _fields(content: Any) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of a protobuf message that has a length; others are passed over."""
    place = 0

    def varint() -> int:
        nonlocal place
        value, shift = 0, 0
        while True:
            value |= (content[place] & 127) << shift
            place, shift = place + 1, shift + 7
            if content[place - 1] < 128:
                return value

    while place < len(content):
        key = varint()
        if key & 7 == 2:
            length = varint()
            if place + length > len(content):
                raise ValueError("it ends too early")
            # Of the graph, which is most of the file, no copy is made.
            yield key >> 3, b"" if key >> 3 == 7 else content[place : place + length]
            place += length
        elif key & 7 in (1, 5):
            place += 8 if key & 7 == 1 else 4
        elif key & 7 == 0:
            varint()
        else:
            raise ValueError("it is no ONNX file")
