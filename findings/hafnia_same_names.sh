#!/usr/bin/env bash
# hafnia's YOLO export writes pictures of the same name in different folders over each other, and so their objects.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q hafnia==0.8.6 numpy==2.2.6 pillow==13.0.0 polars==2.1.0 pyarrow==26.0.1
mkdir -p "$folder"/nuts/train/{left,right}
cd "$folder"
HOME="$folder" "$folder/env/bin/python" - 2> /dev/null <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

from PIL import Image

names = ["left/000001.jpg", "right/000001.jpg", "right/000002.jpg"]
images, objects = [], []
for number, name in enumerate(names, 1):
    Image.new("RGB", (60, 40)).save(Path("nuts/train") / name)
    images.append({"id": number, "file_name": name, "width": 60, "height": 40})
    x = 10 * number  # one object of 8x8 in every picture
    corners = [[x, 10, x + 8, 10, x + 8, 18, x, 18]]
    item = {"bbox": [x, 10, 8, 8], "area": 64, "segmentation": corners, "iscrowd": 0}
    objects.append(item | {"id": number, "image_id": number, "category_id": 1})
coco = {"images": images, "categories": [{"id": 1, "name": "nut"}], "annotations": objects}
Path("nuts/train/_annotations.coco.json").write_text(json.dumps(coco))
with contextlib.redirect_stdout(io.StringIO()):
    from hafnia.dataset.hafnia_dataset import HafniaDataset

    data = HafniaDataset.from_coco_format(Path("nuts"))
    data.to_yolo_format(Path("yolo"))
pictures = sorted(path.name for path in Path("yolo").rglob("*.jpg"))
lines = sum(len(path.read_text().split("\n")) for path in Path("yolo/train/data").glob("*.txt"))
print(f"hafnia {version('hafnia')}, Python {platform.python_version()}")
print(f"Pictures, each with an object: {names}; hafnia reads {len(data.samples)}.")
print(f"Pictures in its YOLO data set: {pictures}, objects: {lines}")
sys.exit((len(data.samples), pictures, lines) != (3, ["000001.jpg", "000002.jpg"], 2))
PY
