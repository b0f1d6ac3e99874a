#!/usr/bin/env bash
# pixeltable-yolox hands its networks red first when it detects, and blue first when it trains and evaluates.
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

import numpy as np
from PIL import Image
from yolox.config import YoloxConfig
from yolox.data import ValTransform
from yolox.data.datasets import CocoDataset
from yolox.models import YoloxProcessor

Path("annotations").mkdir()
Path("val2017").mkdir()
Image.fromarray(np.full((416, 416, 3), (200, 100, 50), np.uint8)).save("val2017/a.png")
coco = {
    "images": [{"id": 1, "file_name": "a.png", "width": 416, "height": 416}],
    "categories": [{"id": 1, "name": "nut"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 10, 10], "area": 100, "iscrowd": 0}],
}
Path("annotations/a.json").write_text(json.dumps(coco))
config = YoloxConfig.get_named_config("yolox_nano")
with contextlib.redirect_stdout(io.StringIO()):
    data = CocoDataset(".", "a.json", "val2017", config.test_size, preproc=ValTransform(legacy=False))
evaluated = [int(level) for level in data[0][0][:, 0, 0]]
detected = [int(level) for level in YoloxProcessor(config)([Image.open("val2017/a.png")])[0, :, 0, 0]]
print(f"pixeltable-yolox {version('pixeltable-yolox')}, torch {version('torch')}, Python {platform.python_version()}")
print("A picture whose every pixel is red 200, green 100, blue 50; the network's channels:")
print(f"of the data set that trains and evaluates it: {evaluated}")
print(f"of YoloxProcessor, which detects:             {detected}")
sys.exit(evaluated != [50, 100, 200] or detected != [200, 100, 50])
PY
