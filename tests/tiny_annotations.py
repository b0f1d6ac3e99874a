"""Tiny annotated data sets in any format."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ms2a.datasets.formats import read_annotations


class Folder:
    """A temporary data set: pictures of a given size in ``images``, annotations in ``labels``."""

    def __init__(self, root: Path):
        self.root, self.images, self.labels = root, root / "images", root / "labels"
        self.images.mkdir()
        self.labels.mkdir()

    def picture(self, name="a.jpg", size_wh=(60, 40), orientation=1):
        """``size_wh`` is the upright size; the file stores the pixels as the orientation says."""
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size_wh if orientation < 5 else size_wh[::-1]
        exif = Image.Exif()
        if orientation != 1:
            exif[0x0112] = orientation
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path, exif=exif)
        return path

    def write(self, name, content):
        path = self.labels / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def read(self, classes=None, source=None, **options):
        return read_annotations(source or self.labels, self.images, classes, **options)


def boxes_of(coco) -> list[tuple]:
    """Picture, class, box and crowd flag of every annotation."""
    pictures = {image["id"]: image["file_name"] for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    return [
        (pictures[a["image_id"]], names[a["category_id"]], tuple(a["bbox"]), a["iscrowd"]) for a in coco["annotations"]
    ]
