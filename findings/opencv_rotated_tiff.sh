#!/usr/bin/env bash
# OpenCV 5 cannot read a TIFF whose rotation tag exchanges width and height; other formats and tags are turned upright.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q opencv-python-headless==5.0.0.93 pillow==13.0.0
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import platform, sys

import cv2
import PIL
from PIL import Image

print(f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}, Python {platform.python_version()}")
print("A picture of 60x40 stored pixels with EXIF orientation 3 or 6; shape that cv2.imread gives, None where it fails:")
seen = {}
for suffix in ("jpg", "png", "webp", "tif"):
    for orientation in (3, 6):
        exif = Image.Exif()
        exif[274] = orientation
        name = f"{orientation}.{suffix}"
        Image.new("RGB", (60, 40)).save(name, exif=exif)
        picture = cv2.imread(name)
        seen[name] = None if picture is None else picture.shape[:2]
print(seen)
expected = {f"{o}.{s}": (40, 60) if o == 3 else (60, 40) for s in ("jpg", "png", "webp", "tif") for o in (3, 6)}
sys.exit(seen != expected | {"6.tif": None})
PY
