#!/usr/bin/env bash
# evaldet reads COCO's crowds and ignores them as COCO says, but writes a COCO file in which they are ordinary objects.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q evaldet==0.4.3 numba==0.62.1 numpy==2.3.5 pyarrow==22.0.0 scipy==1.16.3
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import json, platform, sys
from importlib.metadata import version
from pathlib import Path

from evaldet import Detections
from evaldet.det.coco import compute_coco_summary

boxes = {"a nut": ([10, 10, 20, 20], 0), "a heap of nuts": ([50, 10, 40, 40], 1)}
coco = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 60}],
    "categories": [{"id": 1, "name": "nut"}],
    "annotations": [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
        for n, (box, crowd) in enumerate(boxes.values(), 1)
    ],
}
nut = {"id": 1, "image_id": 1, "category_id": 1, "bbox": boxes["a nut"][0], "score": 0.9}
Path("read.json").write_text(json.dumps(coco))
Path("detected.json").write_text(json.dumps({**coco, "annotations": [nut]}))
Detections.from_coco("read.json").to_coco("written.json")
written = [sorted(each) for each in json.loads(Path("written.json").read_text())["annotations"]]
found = Detections.from_coco("detected.json")
truths = [Detections.from_coco(name) for name in ("read.json", "written.json")]
scores = [round(compute_coco_summary(truth, found)["mean_ap"], 3) for truth in truths]
print(f"evaldet {version('evaldet')}, Python {platform.python_version()}")
print(f"A picture with a nut and a crowd of nuts; mAP of a detector that finds the nut: {scores[0]}")
print(f"Keys of the annotations that evaldet writes: {written}")
print(f"mAP by the file that evaldet wrote: {scores[1]}")
sys.exit(scores != [1.0, 0.505] or any("iscrowd" in keys for keys in written))
PY
