"""Run by itself with datumaro installed: writes truth.json's boxes in five formats."""

import json
import sys
from pathlib import Path

import datumaro as dm
from datumaro.components.annotation import RotatedBbox

root = Path(sys.argv[1])
truth = json.loads((root / "truth.json").read_text())
names = truth["classes"]
items = []
for name, boxes in truth["pictures"].items():
    marks = [dm.Bbox(*box, label=names.index(label)) for label, box in boxes]
    items.append((name, marks))
for kind in ("cvat", "kitti_detection", "voc_detection", "yolo", "coco_instances"):
    pictures = []
    for name, marks in items:
        turned = kind == "cvat" and name == truth["rotated_box_in"]
        rotated = [RotatedBbox(30, 20, 20, 10, 90, label=0)] if turned else []
        media = dm.Image.from_file(path=str(root / "images" / name))
        pictures.append(dm.DatasetItem(Path(name).stem, subset="train", media=media, annotations=[*marks, *rotated]))
    dm.Dataset.from_iterable(pictures, categories=names).export(str(root / kind), kind, save_media=False)
