"""Pictures that cannot be read: one rule and one wording for training, Stage I, testing, inference and drawing."""

import logging
import mmap
import os
from collections.abc import Callable, Iterator, Sequence

import mmcv
import numpy as np

from ms2a.errors import UserError, warn

logger = logging.getLogger("mmdet")

LONGEST_REASON = 150


def decoded(path: str | os.PathLike, flag: str | int = "color") -> np.ndarray | None:
    """Decodes a picture.

    Args:
        path: the file.
        flag: mmcv's name of a colour type, or OpenCV's flags.

    Returns:
        The pixels, BGR where there are colours; None where the picture is missing or cannot be decoded.
    """
    try:
        return mmcv.imread(str(path), flag)
    except Exception:  # what is raised depends on the decoder
        return None


def is_readable(path: str | os.PathLike) -> bool:
    """Whether a picture is there and can be decoded."""
    return decoded(path) is not None


def why_not(path: str | os.PathLike, error: Exception) -> str:
    """The path of a picture that could not be used, with the reason where it is not that nothing can be read."""
    return f"{path} ({told(error)})" if is_readable(path) else str(path)


def told(error: Exception) -> str:
    """An error in one short line, with its kind."""
    text = " ".join(str(error).split())[:LONGEST_REASON]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def unreadable(path: str | os.PathLike, more: str = "") -> UserError:
    """The error about a picture that must be readable."""
    return UserError(f"image {path} is missing or unreadable{more}")


def skip_unreadable(path: str | os.PathLike, strict: bool, tell: Callable[[str], None] = warn) -> None:
    """Tells that a picture is left out.

    Args:
        path: the picture.
        strict: refuse to go on without the picture.
        tell: takes the warning.

    Raises:
        UserError: (``strict``) always.
    """
    if strict:
        raise unreadable(path, " (`strict=True`)")
    tell(f"skipped unreadable image {path}")


def check_skipped(skipped: Sequence[str], total: int, where: str) -> None:
    """Tells at the end of a pass how many pictures were left out.

    Args:
        skipped: those that could not be read.
        total: how many there were.
        where: the place in which they were looked for.

    Raises:
        UserError: none is left.
    """
    if len(skipped) == total:
        raise UserError(f"none of the {total} images of {where} can be read, the first is {skipped[0]}")
    if skipped:
        warn(f"skipped {len(skipped)} of {total} images as unreadable; a strict run stops at the first")


class SkippedImages:
    """The images of a training set that were found unreadable, known to all processes that are forked later.

    So each image is told once, not anew by every loading process of every epoch.

    Args:
        num_images: images of the data set.
    """

    def __init__(self, num_images: int) -> None:
        self._found = np.frombuffer(mmap.mmap(-1, max(num_images, 1)), dtype=np.uint8)

    def __len__(self) -> int:
        return int(self._found.sum())

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._found).tolist())

    def add(self, index: int) -> None:
        """Adds an image that another process has told of."""
        self._found[index] = 1

    def skip(self, index: int, path: str | os.PathLike, strict: bool = False) -> None:
        """Tells of an image that was not told of before, with how many there are so far.

        Raises:
            UserError: (``strict``) always.
        """
        if self._found[index] and not strict:
            return
        self._found[index] = 1
        skip_unreadable(path, strict, lambda message: logger.warning("%s (%d so far)", message, len(self)))
