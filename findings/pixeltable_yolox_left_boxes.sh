#!/usr/bin/env bash
# A box that sticks out on the left keeps its width when pixeltable-yolox trains, so that it grows to the right.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.9.1 torchvision==0.24.1 numpy==2.4.6 opencv-python==5.0.0.93 pillow==12.0.0 \
  pycocotools==2.0.11 loguru==0.7.3 tabulate==0.9.0 psutil==7.1.3 tqdm==4.67.1 packaging==25.0
"$folder/env/bin/pip" install -q --no-deps thop==0.1.1.post2209072238 pixeltable-yolox==0.4.3  # less for exports
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

from yolox.data.datasets import CocoDataset

Path("annotations").mkdir()
Path("train2017").mkdir()
boxes = {"inside": [10, 5, 30, 20], "out on the left": [-10, 5, 30, 20], "out at the top": [10, -8, 30, 20]}
coco = {
    "images": [{"id": 1, "file_name": "a.png", "width": 416, "height": 416}],
    "categories": [{"id": 1, "name": "nut"}],
    "annotations": [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "area": 600, "iscrowd": 0}
        for n, box in enumerate(boxes.values(), 1)
    ],
}
Path("annotations/a.json").write_text(json.dumps(coco))
with contextlib.redirect_stdout(io.StringIO()):
    data = CocoDataset(".", "a.json", img_size=(416, 416))
learned = [box[:4].astype(int).tolist() for box in data.load_anno(0)]
print(f"pixeltable-yolox {version('pixeltable-yolox')}, torch {version('torch')}, Python {platform.python_version()}")
for (name, (x, y, w, h)), corners in zip(boxes.items(), learned, strict=True):
    inside = [max(x, 0), max(y, 0), x + w, y + h]
    print(f"{name}: corners {[x, y, x + w, y + h]}, of its part in the picture {inside}, learned {corners}")
sys.exit(learned != [[10, 5, 40, 25], [0, 5, 30, 25], [10, 0, 40, 20]])
PY
