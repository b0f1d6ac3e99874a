"""Images without labels: a folder, single files, or the images that a COCO file lists."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets import DATASETS
from mmdet.datasets.pipelines import Compose
from torch.utils.data import Dataset

from ms2a.artefacts import read_json
from ms2a.datasets.readable import why_not
from ms2a.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

PROBED_IMAGES = 10
"""How many images that a COCO file lists are looked for on disk before the image folder is declared wrong."""


def find_images(
    img: str | os.PathLike, img_root: str | os.PathLike | None = None, without: str | os.PathLike | None = None
) -> list[tuple[str, str]]:
    """Lists images in a fixed order.

    Args:
        img: a folder (searched to any depth, whatever the case of the file endings), an image, or a COCO json, of
            which only ``images[].file_name`` is used.
        img_root: the folder that the names in a COCO json start from; default: the json's own folder.
        without: a folder inside ``img`` that is not searched.

    Returns:
        (root, name) pairs; ``root/name`` is the file, and the names differ from each other.

    Raises:
        UserError: nothing there, no image in the folder, or a json that lists none or only images that do not exist.
    """
    path = Path(img)
    if path.is_dir():
        names = sorted(_walk(str(path), without))
        if not names:
            raise UserError(f"no image in folder {img}; expected files ending in {' '.join(IMAGE_SUFFIXES)}")
        return [(str(path), name) for name in names]
    if not path.exists():
        raise UserError(f"{img} does not exist; expected a folder of images, an image, or a COCO json")
    if path.suffix.lower() == ".json":
        root = str(img_root if img_root is not None else path.parent)
        return [(root, name) for name in _names_in_coco(path, root)]
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return [(str(path.parent), path.name)]
    raise UserError(f"{img} is not a folder, a COCO json or an image ({' '.join(IMAGE_SUFFIXES)})")


def _walk(root: str, without: str | os.PathLike | None) -> Iterator[str]:
    """Names of the images below ``root``, with ``/`` between folders; hidden files and folders are passed over."""
    visited = set() if without is None else {os.path.realpath(without)}
    for folder, subfolders, files in os.walk(root, followlinks=True):
        # A link to a folder above would lead round and round.
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield Path(folder, name).relative_to(root).as_posix()


def _names_in_coco(path: Path, root: str) -> list[str]:
    coco = read_json(path, "annotation file")
    images = coco.get("images") if isinstance(coco, dict) else None
    if not isinstance(images, list) or not all(
        isinstance(image, dict) and isinstance(image.get("file_name"), str) for image in images
    ):
        raise UserError(f"annotation file {path} is not in COCO form: expected 'images', each with a 'file_name'")
    names = sorted({image["file_name"] for image in images})
    if not names:
        raise UserError(f"annotation file {path} lists no images")
    if not any(os.path.exists(os.path.join(root, name)) for name in names[:PROBED_IMAGES]):
        raise UserError(
            f"image {os.path.join(root, names[0])} of {path} does not exist, nor do the next ones; "
            "give the folder that the names start from (`img_root`)"
        )
    return names


@DATASETS.register_module()
class ImageFolderDataset(Dataset):
    """Unlabelled images through a test pipeline.

    Args:
        img: what :func:`find_images` takes, or several of these.
        pipeline: configs of mmdet transforms, ending in ``Collect``.
        img_root: see :func:`find_images`.
        domain: name of the domain that the images belong to; travels with them as ``results["domain"]``. None leaves
            the choice to the detector (its ``default_domain``).
        classes: class names, for whoever draws detections.
        test_mode: there for mmdet's builders, which set it; these images are never trained on.
        without: see :func:`find_images`.

    Attributes:
        names: name of each image relative to its root; the same on every machine.

    Raises:
        UserError: see :func:`find_images`.
    """

    def __init__(
        self,
        img: str | os.PathLike | Sequence[str | os.PathLike],
        pipeline: Sequence[dict],
        img_root: str | os.PathLike | None = None,
        domain: str | None = None,
        classes: Sequence[str] | None = None,
        test_mode: bool = True,
        without: str | os.PathLike | None = None,
    ) -> None:
        sources = [img] if isinstance(img, str | os.PathLike) else img
        # dict: the same file named twice counts once.
        self._images = list(
            dict.fromkeys(pair for source in sources for pair in find_images(source, img_root, without))
        )
        self.names = [name for _, name in self._images]
        self.pipeline = Compose(pipeline)
        self.domain = domain
        self.CLASSES = classes
        self.test_mode = test_mode
        self._whys: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._images)

    def path(self, index: int) -> str:
        """The file of an image."""
        return os.path.join(*self._images[index])

    def __getitem__(self, index: int) -> dict[str, Any] | None:
        """What the pipeline makes of an image, or None where it can't be read or used; :meth:`told` says why."""
        root, name = self._images[index]
        results = dict(img_info=dict(filename=name), img_prefix=root, bbox_fields=[], mask_fields=[], seg_fields=[])
        results["domain"] = self.domain
        try:
            return self.pipeline(results)
        except Exception as error:  # whatever is wrong with one picture, the others need not suffer
            self._whys[index] = why_not(self.path(index), error)
        return None

    def told(self, index: int) -> str:
        """How messages call an image: its file, and after a failure why it can't be used."""
        return self._whys.get(index, self.path(index))
