#!/usr/bin/env bash
# darwin-py (V7) turns an object drawn in two parts into a crowd of area 0 in COCO, with a box a pixel too large.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q darwin-py==3.6.3 numpy==2.4.6
mkdir "$folder/in" "$folder/out"
cd "$folder"
cat > in/a.json <<'JSON'
{"version": "2.0", "schema_ref": "n/a",
 "item": {"name": "a.jpg", "path": "/", "slots": [{"type": "image", "slot_name": "0", "width": 60, "height": 40,
          "source_files": [{"file_name": "a.jpg", "url": ""}]}]},
 "annotations": [
  {"id": "1", "name": "nut", "slot_names": ["0"], "bounding_box": {"x": 1, "y": 2, "w": 4, "h": 5},
   "polygon": {"paths": [[{"x": 1, "y": 2}, {"x": 5, "y": 2}, {"x": 5, "y": 7}]]}},
  {"id": "2", "name": "nut", "slot_names": ["0"], "bounding_box": {"x": 1, "y": 2, "w": 24, "h": 5},
   "polygon": {"paths": [[{"x": 1, "y": 2}, {"x": 5, "y": 2}, {"x": 5, "y": 7}],
                         [{"x": 20, "y": 2}, {"x": 25, "y": 2}, {"x": 25, "y": 7}]]}}]}
JSON
HOME="$folder" "$folder/env/bin/python" - <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

from darwin.exporter import export_annotations, get_exporter

with contextlib.redirect_stdout(io.StringIO()):
    export_annotations(get_exporter("coco"), [Path("in")], Path("out"))
whole, parts = json.loads(Path("out/output.json").read_text())["annotations"]
print(f"darwin-py {version('darwin-py')}, Python {platform.python_version()}")
print("A triangle of area 10, and an object of two triangles, 10 and 12.5, whose box is 1, 2, 24, 5. In COCO:")
for item in (whole, parts):
    print({key: item[key] for key in ("iscrowd", "area", "bbox")})
seen = [(item["iscrowd"], item["area"], item["bbox"]) for item in (whole, parts)]
sys.exit(seen != [(0, 10, [1, 2, 4, 5]), (1, 0, [1, 2, 25, 6])])
PY
