"""Files of drawn pictures: names that are free and fit any disk, whole files in a format that OpenCV writes."""

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np

from ms2a.artefacts import atomic_path
from ms2a.datasets.image_folder import IMAGE_SUFFIXES
from ms2a.errors import UserError

# Bytes of a file's or folder's name: most disks take 255, and a temporary file has a longer one.
LONGEST_NAME = 200
FALLBACK = ".png"


def picture_name(domain: str | None, name: str) -> Path:
    """Where the picture of an image goes below an output folder.

    Never outside it, whatever the annotations say; as a PNG where the name's ending is of no format that is written;
    shortened where it is too long for a disk.

    Args:
        domain: whose folder; None: the output folder itself.
        name: of the image.
    """
    parts = [part for part in Path(name).parts if part not in ("..", Path(name).anchor)]
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        parts[-1:] = ["".join(parts[-1:]) + FALLBACK]
    return Path(domain or "", *map(_shortened, parts))


def _shortened(name: str) -> str:
    """A name of bounded length; a digest tells it from others that begin alike."""
    as_bytes = os.fsencode(name)
    if len(as_bytes) <= LONGEST_NAME:
        return name
    suffix = Path(name).suffix if len(Path(name).suffix) < 10 else ""
    end = f"_{hashlib.sha256(as_bytes).hexdigest()[:8]}{suffix}"
    return as_bytes[: LONGEST_NAME - len(end)].decode(errors="ignore") + end


class FreeNames:
    """A name of its own for every picture: images of several folders may share one."""

    def __init__(self) -> None:
        self._taken: set[Path] = set()

    def free(self, domain: str | None, name: str) -> Path:
        """:func:`picture_name` with a number behind it where an earlier picture has that name."""
        path = own = picture_name(domain, name)
        number = 1
        while own in self._taken:
            number += 1
            own = path.with_stem(f"{path.stem}_{number}")
        self._taken.add(own)
        return own


def write_picture(image: np.ndarray, path: str | os.PathLike, jpeg_quality: int = 95) -> Path:
    """Writes a picture, whole or not at all; as a PNG behind the same name where its format holds none so large.

    Args:
        image: (H, W, 3) uint8, BGR.
        path: the file; its ending tells the format.
        jpeg_quality: 0–100.

    Returns:
        The file.

    Raises:
        UserError: no format holds such a picture.
        OSError: the disk does not.
    """
    for file in (Path(path), Path(f"{path}{FALLBACK}")):
        # OpenCV 5 complains of a setting of another format.
        quality = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if file.suffix.lower() in (".jpg", ".jpeg") else []
        try:
            done, content = cv2.imencode(file.suffix, image, quality)
        except cv2.error:
            continue
        if done:
            with atomic_path(file) as temporary:
                temporary.write_bytes(content)
            return file
    raise UserError(f"{path} cannot be written: no format holds a picture of {image.shape[1]} x {image.shape[0]}")
