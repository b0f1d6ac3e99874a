#!/usr/bin/env bash
# superannotate's COCO areas of boxes grow with the distance from the picture's top: small objects become large ones.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q superannotate==4.6.2 numpy==2.4.6 opencv-python-headless==4.14.0.94
mkdir -p "$folder/in/classes"
cd "$folder"
HOME="$folder" SA_SKIP_METRICS=1 "$folder/env/bin/python" - 2> /dev/null <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

import superannotate

tops = (0, 100, 400)
boxes = [{"x1": 10, "y1": top, "x2": 30, "y2": top + 20} for top in tops]
Path("in/classes/classes.json").write_text(json.dumps([{"id": 1, "name": "nut", "color": "#ff0000"}]))
Path("in/a.jpg___objects.json").write_text(json.dumps({
    "metadata": {"name": "a.jpg", "width": 640, "height": 480},
    "instances": [
        {"type": "bbox", "classId": 1, "className": "nut", "points": box, "groupId": 0, "attributes": []}
        for box in boxes
    ],
}))
with contextlib.redirect_stdout(io.StringIO()):
    superannotate.export_annotation("in", "out", "COCO", "nuts", "Vector", "object_detection")
items = json.loads(Path("out/nuts.json").read_text())["annotations"]
seen = {item["bbox"][1]: item["area"] for item in items if item["bbox"][2:] == [20, 20]}
print(f"superannotate {version('superannotate')}, Python {platform.python_version()}")
print("Three boxes of 20x20 pixels, of area 400: small ones for COCO, whose medium ones begin at 1024.")
print(f"Area that the exported COCO file gives for the box with its upper edge at: {seen}")
sys.exit(seen != {0: 400, 100: 2300, 400: 8000})  # width times lower edge, less upper edge
PY
