#!/usr/bin/env bash
# cocojson's merge of chosen categories keeps the pictures and the categories and drops every object.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q cocojson==0.1.1 numpy==2.4.6 opencv-python==5.0.0.93 pillow==13.0.0
mkdir "$folder/images"
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

from cocojson.tools.merge import merge
from PIL import Image

Image.new("RGB", (60, 40)).save("images/a.jpg")
objects = [{"id": kind, "image_id": 1, "category_id": kind, "bbox": [9 * kind, 0, 5, 5]} for kind in (1, 2)]
Path("a.json").write_text(json.dumps({
    "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}],
    "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}],
    "annotations": [item | {"area": 25, "iscrowd": 0} for item in objects],
}))
seen = {}
for chosen in (None, [[1]], [[2]]):
    with contextlib.redirect_stdout(io.StringIO()):
        merge(["a.json"], ["images"], "out", cids=chosen)
    merged = json.loads(Path("out/merged.json").read_text())
    seen[str(chosen)] = [item["name"] for item in merged["categories"]], len(merged["annotations"])
print(f"cocojson {version('cocojson')}, Python {platform.python_version()}")
print("A picture with a nut (1) and a bolt (2): all are merged, then only the nut, then only the bolt.")
print(f"Categories and number of objects in the merged file: {seen}")
sys.exit(seen != {"None": (["nut", "bolt"], 2), "[[1]]": (["nut"], 0), "[[2]]": (["bolt"], 0)})
PY
