#!/usr/bin/env bash
# A class that is detected but in no annotation counts as AP 0 in tidecv's mAP; pycocotools leaves it out.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q tidecv==1.0.1 pycocotools==2.0.11 numpy==2.4.6 opencv-python==5.0.0.93 pandas==2.3.3
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import contextlib, io, platform, sys
from importlib.metadata import version

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tidecv import TIDE, Data

found = [(1, [5, 5, 20, 20], 0.9), (2, [40, 40, 20, 20], 0.8)]  # class, box, score; class 2 is in no annotation
truth, detections = Data("truth"), Data("detections")
truth.add_ground_truth(1, 1, [5, 5, 20, 20])
for kind, box, score in found:
    detections.add_detection(1, kind, score, box)
tide = TIDE().evaluate(truth, detections, mode=TIDE.BOX).ap / 100

with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO()
    coco.dataset = {
        "images": [{"id": 1, "width": 80, "height": 80}],
        "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
        ],
    }
    coco.createIndex()
    keys = "category_id", "bbox", "score"
    evaluation = COCOeval(coco, coco.loadRes([{"image_id": 1} | dict(zip(keys, item)) for item in found]), "bbox")
    evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
print(f"tidecv {version('tidecv')}, pycocotools {version('pycocotools')}, Python {platform.python_version()}")
print("The only object, a nut, is found exactly; a bolt is seen too, of which none is annotated: one AP, 1.")
print(f"AP at IoU 0.5: pycocotools {evaluation.stats[1]:.3f}, tidecv {tide:.3f}")
sys.exit(not (abs(evaluation.stats[1] - 1) < 1e-6 and abs(tide - 0.5) < 1e-6))
PY
