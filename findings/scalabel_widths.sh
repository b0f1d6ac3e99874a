#!/usr/bin/env bash
# scalabel writes boxes into COCO a pixel wider and higher than x2 - x1 and y2 - y1, fractions included.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q scalabel==0.3.1 pydantic==1.10.26 numpy==1.26.4 pandas==2.3.3
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import platform, sys
from importlib.metadata import version

from scalabel.label.to_coco import scalabel2coco_detection
from scalabel.label.typing import Box2D, Category, Config, Frame, ImageSize, Label

corners = [(10, 10, 20, 30), (0, 0, 59.5, 39.25), (0, 0, 60, 40)]
labels = [
    Label(id=str(number), category="nut", box2d=Box2D(**dict(zip(("x1", "y1", "x2", "y2"), box))))
    for number, box in enumerate(corners)
]
config = Config(imageSize=ImageSize(width=60, height=40), categories=[Category(name="nut")])
boxes = [item["bbox"] for item in scalabel2coco_detection([Frame(name="a.jpg", labels=labels)], config)["annotations"]]
print(f"scalabel {version('scalabel')}, pydantic {version('pydantic')}, Python {platform.python_version()}")
print("Corners x1, y1, x2, y2 on a picture of 60x40, and x, y, width, height in COCO as scalabel writes it:")
for box, written in zip(corners, boxes):
    print(f"{box} -> {written}")
print("The last box is the whole picture: COCO says 60 wide and 40 high.")
sys.exit(boxes != [[x1, y1, x2 - x1 + 1, y2 - y1 + 1] for x1, y1, x2, y2 in corners])
PY
