#!/usr/bin/env bash
# bboxconverter numbers the classes anew in each file of a k-fold split: train and test give one id to two classes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q pandas==2.3.3 scikit-learn==1.7.2 lxml==6.0.2 numpy==2.3.5
"$folder/env/bin/pip" install -q --no-deps bboxconverter==0.1.9  # it asks for pandas 1, which has no recent wheel
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, io, json, platform, sys
from importlib.metadata import version
from pathlib import Path

import bboxconverter

box = {"bbox": [5, 5, 10, 10], "area": 100, "iscrowd": 0}
pictures = {"a.jpg": (1, 2), "b.jpg": (2, 1), "c.jpg": (1, 2), "d.jpg": (2, 1)}
coco = {
    "images": [{"id": n, "file_name": name, "width": 60, "height": 40} for n, name in enumerate(pictures, 1)],
    "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}],
    "annotations": [
        {"id": 2 * n + m, "image_id": n, "category_id": category, **box}
        for n, categories in enumerate(pictures.values(), 1)
        for m, category in enumerate(categories)
    ],
}
Path("read.json").write_text(json.dumps(coco))
with contextlib.redirect_stdout(io.StringIO()):
    bboxconverter.read_coco("read.json").export("folds", "coco", kfold=4)
differ = 0
print(f"bboxconverter {version('bboxconverter')}, Python {platform.python_version()}")
for fold in sorted(Path("folds").iterdir()):
    ids = {}
    for part in ("train", "test"):
        written = json.loads((fold / part / f"{part}.json").read_text())
        ids[part] = {category["id"]: category["name"] for category in written["categories"]}
    differ += ids["train"] != ids["test"]
    print(f"{fold.name}: classes of train.json {ids['train']}, of test.json {ids['test']}")
sys.exit(differ == 0)
PY
