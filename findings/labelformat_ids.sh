#!/usr/bin/env bash
# pycocotools cannot read the COCO files that labelformat writes: their annotations have no ids.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q labelformat==0.1.17 pycocotools==2.0.11 numpy==2.3.5
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

from labelformat.formats import COCOObjectDetectionInput, COCOObjectDetectionOutput
from pycocotools.coco import COCO

coco = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}],
    "categories": [{"id": 1, "name": "nut"}],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [5, 5, 10, 10], "area": 100, "iscrowd": 0}],
}
Path("read.json").write_text(json.dumps(coco))
COCOObjectDetectionOutput(Path("written.json")).save(COCOObjectDetectionInput("read.json"))
(annotation,) = json.loads(Path("written.json").read_text())["annotations"]
with contextlib.redirect_stdout(io.StringIO()):
    try:
        error = None if COCO("written.json").anns else "no annotations"
    except KeyError as raised:
        error = repr(raised)
versions = ", ".join(f"{name} {version(name)}" for name in ("labelformat", "pycocotools"))
print(f"{versions}, Python {platform.python_version()}")
print(f"Keys of an annotation in the COCO file that was read:    {sorted(coco['annotations'][0])}")
print(f"Keys of the same in the COCO file that labelformat wrote: {sorted(annotation)}")
print(f"pycocotools on that file: {error}")
sys.exit(sorted(annotation) != ["bbox", "category_id", "image_id"] or error != "KeyError('id')")
PY
