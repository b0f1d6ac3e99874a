#!/usr/bin/env bash
# sahi's filter of annotations by area drops the whole picture, good objects and all, when one object is too small.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q sahi==0.12.8 numpy==2.4.6 opencv-python==5.0.0.93 pillow==13.0.0
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import platform, sys
from importlib.metadata import version

from sahi.utils.coco import Coco

boxes = {1: [[0, 0, 40, 40], [50, 0, 40, 40], [0, 50, 5, 5]], 2: [[0, 0, 40, 40]]}  # per picture; one of area 25
annotations = [{"image_id": image, "bbox": box} for image, found in boxes.items() for box in found]
coco = Coco.from_coco_dict_or_path({
    "images": [{"id": image, "file_name": f"{image}.jpg", "width": 100, "height": 100} for image in boxes],
    "categories": [{"id": 1, "name": "nut"}],
    "annotations": [
        item | {"id": number, "category_id": 1, "area": item["bbox"][2] * item["bbox"][3], "iscrowd": 0}
        for number, item in enumerate(annotations, 1)
    ],
})
left = coco.get_area_filtered_coco(min=100).json
seen = [image["file_name"] for image in left["images"]], len(left["annotations"])
print(f"sahi {version('sahi')}, Python {platform.python_version()}")
print("Two pictures, objects of areas 1600, 1600, 25 and 1600: of four objects, three have at least 100.")
print(f"Left by get_area_filtered_coco(min=100): pictures {seen[0]}, {seen[1]} object")
sys.exit(seen != (["2.jpg"], 1))
PY
