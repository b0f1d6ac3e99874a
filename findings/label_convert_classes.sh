#!/usr/bin/env bash
# label-convert gives every object of a YOLOv8 data set the next class in COCO, and the last class's objects none.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q label-convert==0.3.0 numpy==2.4.6 opencv-python==5.0.0.93 pyyaml==6.0.3
mkdir -p "$folder"/nuts/{images,labels}/train
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, json, os, platform, sys
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from label_convert.yolov8_to_coco import YOLOv8ToCOCO

names = ["nut", "bolt", "pin"]
cv2.imwrite("nuts/images/train/a.jpg", np.zeros((40, 60, 3), dtype=np.uint8))
lines = [f"{kind} {0.2 * kind + 0.2:.1f} 0.5 0.1 0.1\n" for kind in range(3)]  # from left to right: nut, bolt, pin
Path("nuts/labels/train/a.txt").write_text("".join(lines))
Path("nuts.yaml").write_text("path: nuts\ntrain: images/train\nnames:\n  0: nut\n  1: bolt\n  2: pin\n")
with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
    YOLOv8ToCOCO("nuts", "out", "nuts.yaml")(["train"])
coco = json.loads(Path("out/annotations/instances_train2017.json").read_text())
categories = {item["id"]: item["name"] for item in coco["categories"]}
items = sorted(coco["annotations"], key=lambda item: item["bbox"][0])
seen = [categories.get(item["category_id"]) for item in items]
print(f"label-convert {version('label-convert')}, Python {platform.python_version()}")
print(f"Objects in the YOLO file, from left to right: {names}")
print(f"Categories of the COCO file:                  {categories}")
print(f"Category numbers of its objects:              {[item['category_id'] for item in items]}, so {seen}")
sys.exit(len(items) != 3 or list(categories.values()) != names or seen != ["bolt", "pin", None])
PY
