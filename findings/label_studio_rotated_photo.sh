#!/usr/bin/env bash
# Label Studio's converter to COCO states the size of a photo's stored pixels, but gives boxes of the upright photo.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q label-studio-sdk==2.1.2
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import json, platform, sys
from importlib.metadata import version
from pathlib import Path

from label_studio_sdk.converter import Converter
from PIL import Image

exif = Image.Exif()
exif[274] = 6
Image.new("RGB", (60, 40)).save("photo.jpg", exif=exif)  # shown as 40 wide and 60 high
view = '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image"><Label value="nut"/>'
lower_right = {"x": 50, "y": 50, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["nut"]}  # per cent
result = {"from_name": "label", "to_name": "image", "type": "rectanglelabels", "original_width": 40,
          "original_height": 60, "image_rotation": 0, "value": lower_right}
task = {"id": 1, "data": {"image": str(Path("photo.jpg").resolve())},
        "annotations": [{"id": 1, "completed_by": 1, "result": [result]}]}
Path("tasks.json").write_text(json.dumps([task]))
converter = Converter(view + "</RectangleLabels></View>", ".", download_resources=False)
converter.convert_to_coco("tasks.json", "out", output_image_dir="out/images", is_dir=False)
coco = json.loads(Path("out/result.json").read_text())
image, annotation = coco["images"][0], coco["annotations"][0]
print(f"label-studio-sdk {version('label-studio-sdk')}, Python {platform.python_version()}")
print("A photo of 60x40 stored pixels, shown as 40x60; the lower right quarter is marked, x 20, y 30, 20 wide, 30 high.")
print(f"COCO: width {image['width']}, height {image['height']}, bbox {annotation['bbox']}: below the stated height")
sys.exit((image["width"], image["height"], annotation["bbox"]) != (60, 40, [20, 30, 20, 30]))
PY
