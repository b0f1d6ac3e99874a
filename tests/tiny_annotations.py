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


def write_as(kind: str, coco: dict, folder: Path) -> Path:
    """Writes a COCO dictionary in another format, as its tools do; returns what a task names as annotations."""
    folder.mkdir()
    names = {category["id"]: category["name"] for category in coco["categories"]}
    in_one_file = []
    for image in coco["images"]:
        boxes = [(names[a["category_id"]], *a["bbox"]) for a in coco["annotations"] if a["image_id"] == image["id"]]
        size = image["width"], image["height"]
        suffix, content = _one_picture(kind, image["file_name"], size, boxes, list(names.values()))
        in_one_file.append(content)
        if suffix:
            (folder / f"{Path(image['file_name']).stem}{suffix}").write_text(content)
    if kind == "yolo":
        (folder / "data.yaml").write_text(json.dumps({"names": list(names.values())}))
    if kind == "cvat":
        (folder / "annotations.xml").write_text(f"<annotations>{''.join(in_one_file)}</annotations>")
    return folder


def _one_picture(kind, name, size, boxes, names) -> tuple[str, str]:
    """Ending and content of a picture's file; no ending where all pictures share one file."""
    corners = [(label, x, y, x + w, y + h) for label, x, y, w, h in boxes]
    if kind == "yolo":
        lines = (
            f"{names.index(label)} {(x + w / 2) / size[0]} {(y + h / 2) / size[1]} {w / size[0]} {h / size[1]}"
            for label, x, y, w, h in boxes
        )
        return ".txt", "\n".join(lines)
    if kind == "kitti":
        return ".txt", "\n".join(
            f"{label} 0 0 0 {x1} {y1} {x2} {y2} 0 0 0 0 0 0 0" for label, x1, y1, x2, y2 in corners
        )
    if kind == "labelme":
        shapes = [
            {"label": label, "shape_type": "rectangle", "points": [[x2, y2], [x1, y1]]}
            for label, x1, y1, x2, y2 in corners
        ]
        size = {"imageWidth": size[0], "imageHeight": size[1]}
        return ".json", json.dumps({"imagePath": f"../{name}", "imageData": None, "shapes": shapes, **size})
    if kind == "cvat":
        shapes = (
            f'<box label="{label}" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}"/>' for label, x1, y1, x2, y2 in corners
        )
        return "", f'<image name="{name}" width="{size[0]}" height="{size[1]}">{"".join(shapes)}</image>'
    shapes = (
        f"<object><name>{label}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax>"
        f"<ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in corners
    )
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return ".xml", f"<annotation><filename>C:\\data\\{name}</filename>{size}{''.join(shapes)}</annotation>"
