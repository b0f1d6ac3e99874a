"""What a picture's header tells without decoding the picture: size, rotation tag, bits of a sample."""

import contextlib
import os
import struct
import warnings
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

ORIENTATION, WIDTH, HEIGHT, BITS, SAMPLE_FORMAT = 274, 256, 257, 258, 339  # tags of TIFF, and of EXIF
FLOAT = 3  # the sample format of floating-point numbers in TIFF
PNG_BITS = slice(24, 25)  # of the file: the bit depth in the header chunk


class Header(NamedTuple):
    """A picture's header.

    Attributes:
        stored_wh: width and height in pixels as they are stored.
        orientation: EXIF's number, 1–8; 1 is upright.
        bits: of one sample.
        is_float: samples are floating-point numbers.
    """

    stored_wh: tuple[int, int]
    orientation: int
    bits: int
    is_float: bool

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the upright picture: every decoder of this package turns it by its tag."""
        return self.stored_wh[::-1] if self.orientation >= 5 else self.stored_wh


def read_header(path: str | os.PathLike) -> Header | None:
    """Reads the header of a JPEG, PNG, BMP, TIFF or WebP file.

    Returns:
        The header, or None where there is no such file or no readable header in the file.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(32)
            if start[:4] in (b"II*\0", b"MM\0*"):
                return _of_tiff(file)
            bits = start[PNG_BITS][0] if start.startswith(b"\x89PNG") else 8
            file.seek(0)
            with _any_size(), Image.open(file) as image:
                tag = image.getexif().get(ORIENTATION, 1) if "exif" in image.info else 1
                return Header(image.size, tag if tag in range(1, 9) else 1, bits, False)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, IndexError, KeyError, struct.error):
        return None


def _of_tiff(file: BinaryIO) -> Header:
    """From the tags: Pillow opens not every kind of TIFF, and turns the sizes of those that it opens."""
    file.seek(0)
    tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
    file.seek(tags.next)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags.load(file)
    first = {key: value[0] if isinstance(value, tuple) else value for key, value in tags.items()}
    tag = first.get(ORIENTATION, 1)
    size_wh = (int(first[WIDTH]), int(first[HEIGHT]))
    return Header(size_wh, tag if tag in range(1, 9) else 1, int(first.get(BITS, 1)), first.get(SAMPLE_FORMAT) == FLOAT)


@contextlib.contextmanager
def _any_size() -> Iterator[None]:
    """Pillow refuses pictures of many pixels at their header; nothing is decoded here."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def upright_box(
    box_xywh: tuple[float, float, float, float], stored_wh: tuple[int, int], orientation: int
) -> list[float]:
    """Brings a box from the stored pixels of a picture to its upright ones.

    Args:
        box_xywh: left, top, width, height in stored pixels.
        stored_wh: width and height of the stored picture.
        orientation: EXIF's number, 1–8.

    Returns:
        left, top, width, height in the upright picture.
    """
    x, y, width, height = box_xywh
    if orientation in (2, 3, 7, 8):  # mirrored from left to right
        x = stored_wh[0] - x - width
    if orientation in (3, 4, 6, 7):  # and from top to bottom
        y = stored_wh[1] - y - height
    return [y, x, height, width] if orientation >= 5 else [x, y, width, height]
