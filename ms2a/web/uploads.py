"""Pictures that somebody sends: looked at in memory, refused in one line where they are none."""

import io
import warnings

import cv2
import numpy as np
from PIL import Image

from ms2a.datasets.load_picture import COLOUR, DEEP_COLOUR, to_8_bits
from ms2a.errors import UserError

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 40_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_FLAGS = {COLOUR: cv2.IMREAD_COLOR, DEEP_COLOUR: DEEP_COLOUR}


class TooLarge(UserError):
    """A picture of too many bytes or pixels."""


class NoPicture(UserError):
    """Bytes that are no picture of a known form."""


def check_bytes(count: int, limit: int = MAX_BYTES) -> None:
    """Refuses too many bytes.

    Raises:
        TooLarge: there are more than the limit.
    """
    if count > limit:
        raise TooLarge(
            f"the file is larger than {limit / 2**20:.0f} MB, the most that is taken; send a smaller picture"
        )


def decode(data: bytes, bit_depth: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The picture in the bytes of a file, as the detector reads a file of the disk.

    The header is read first: no more pixels are unpacked than are allowed, and only by readers of common forms.

    Args:
        data: the file.
        bit_depth: see :func:`ms2a.datasets.load_picture.read_picture`.
        max_pixels: width times height at most.

    Returns:
        (H, W, 3) uint8, BGR, upright.

    Raises:
        NoPicture: it is none, or of another form.
        TooLarge: it has too many pixels.
        UserError: it is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise TooLarge(_too_many("far too many", max_pixels)) from None
    except Exception:  # what is raised depends on the reader
        raise NoPicture(f"this is no picture: expected {', '.join(FORMATS)}") from None
    width, height = picture.size
    if width * height > max_pixels:
        raise TooLarge(_too_many(f"{width}x{height}", max_pixels))
    try:
        picture.load()  # OpenCV shows the rest of a truncated picture in grey
        flags = _FLAGS[COLOUR if bit_depth is None else DEEP_COLOUR]
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except Exception:
        image = None
    if image is None:
        raise UserError("the picture is damaged: it cannot be read to its end; send it again")
    return image if bit_depth is None else to_8_bits(image, bit_depth)


def _too_many(size: str, max_pixels: int) -> str:
    return f"the picture has {size} pixels, at most {max_pixels / 1e6:.0f} million are taken; send a smaller one"
