#!/usr/bin/env bash
# pycocotools counts a found object whose annotation id is 0 as missed. mmdet's converter of Cityscapes and Label Studio
# number annotations from 0.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q pycocotools==2.0.11 numpy==2.3.5
"$folder/env/bin/pip" download -q --no-deps mmdet==2.28.2 -d "$folder"
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, io, platform, sys, tarfile, zipfile
from importlib.metadata import version
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def score(first_id):
    boxes = [[0, 0, 10, 10], [20, 20, 10, 10]]
    data = COCO()
    data.dataset = {
        "images": [{"id": 1, "width": 60, "height": 40}], "categories": [{"id": 1, "name": "nut"}],
        "annotations": [{"id": first_id + i, "image_id": 1, "category_id": 1, "bbox": box, "area": 100, "iscrowd": 0}
                        for i, box in enumerate(boxes)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        found = data.loadRes([{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9} for box in boxes])
        evaluation = COCOeval(data, found, "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return round(float(evaluation.stats[0]), 3)


(archive,) = (path for path in Path().iterdir() if path.name.startswith("mmdet"))
name = "tools/dataset_converters/cityscapes.py"
if archive.suffix == ".whl":
    source = next(zipfile.ZipFile(archive).read(n) for n in zipfile.ZipFile(archive).namelist() if n.endswith(name))
else:
    files = tarfile.open(archive)
    source = files.extractfile(next(n for n in files.getnames() if n.endswith(name))).read()
from_zero = b"ann_id = 0" in source and source.index(b"anno_info['id'] = ann_id") < source.index(b"ann_id += 1")
print(f"pycocotools {version('pycocotools')}, mmdet 2.28.2, Python {platform.python_version()}")
print("Two objects, both detected exactly. Mean precision with annotation ids from 1, and from 0:")
print(score(1), score(0), "| mmdet's converter of Cityscapes numbers from 0:", from_zero)
sys.exit(not (score(1) == 1.0 and score(0) < 0.6 and from_zero))
PY
