#!/usr/bin/env bash
# imantics gives a mask a COCO box that is a pixel too narrow and too low; a part one pixel wide gets a box of no area.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q imantics==0.1.12 numpy==2.4.6 opencv-python==5.0.0.93
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import platform, sys
from importlib.metadata import version

import numpy as np
from imantics import Annotation, Category, Image, Mask


def write(rows, columns):
    """COCO box and area of a mask of these rows and columns."""
    mask = np.zeros((40, 60), dtype=bool)
    mask[rows, columns] = True
    item = Annotation(image=Image.empty(60, 40), category=Category("nut"), mask=Mask(mask)).coco(include=False)
    return [int(number) for number in item["bbox"]], int(item["area"])


seen = write(slice(10, 30), slice(10, 20)), write(slice(10, 30), slice(40, 41))
print(f"imantics {version('imantics')}, numpy {np.__version__}, Python {platform.python_version()}")
print("Masks of 10x20 and 1x20 pixels, at 10, 10 and 40, 10; x, y, width, height and area as imantics writes them:")
print(seen)
sys.exit(seen != (([10, 10, 9, 19], 200), ([40, 10, 0, 19], 20)))
PY
