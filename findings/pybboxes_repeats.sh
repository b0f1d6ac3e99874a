#!/usr/bin/env bash
# pybboxes lists a COCO picture once for each of its boxes, loses one without; a second YOLO export doubles the boxes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 pillow==12.0.0 pycocotools==2.0.11 pyyaml==6.0.3
"$folder/env/bin/pip" install -q --no-deps pybboxes==0.2.0  # it asks for pycocotools 2.0.6, which has no recent wheel
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

from pybboxes.annotations import Annotations

box = {"image_id": 1, "area": 100, "iscrowd": 0}
coco = {
    "images": [{"id": n, "file_name": f"{name}.jpg", "width": 60, "height": 40} for n, name in ((1, "a"), (2, "b"))],
    "categories": [{"id": 0, "name": "nut"}, {"id": 1, "name": "bolt"}],
    "annotations": [
        {"id": 1, "category_id": 0, "bbox": [5, 5, 10, 10], **box},
        {"id": 2, "category_id": 1, "bbox": [25, 5, 10, 10], **box},
    ],
}
Path("in.json").write_text(json.dumps(coco))
with contextlib.redirect_stdout(io.StringIO()):
    annotations = Annotations("coco")
    annotations.load_from_coco("in.json")
annotations.save_as_coco("out.json")
entries = [(image["id"], image["file_name"]) for image in json.loads(Path("out.json").read_text())["images"]]
lines = []
for _ in range(2):
    annotations.save_as_yolo("yolo")
    lines.append(len(Path("yolo/a.txt").read_text().splitlines()))
print(f"pybboxes {version('pybboxes')}, Python {platform.python_version()}")
print(f"Pictures of the COCO file that was read:    {[(image['id'], image['file_name']) for image in coco['images']]}")
print(f"Pictures of the COCO file that was written: {entries}")
print(f"Boxes of a.jpg in YOLO files after one export and after two into the same folder: {lines}")
sys.exit(entries != [(0, "a.jpg"), (0, "a.jpg")] or lines != [2, 4])
PY
