#!/usr/bin/env bash
# mean-average-precision has a column for difficult objects and counts them as missed all the same.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q mean-average-precision==2024.1.5.0 numpy==2.4.6 pandas==2.3.3
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import platform, sys
from importlib.metadata import version

import numpy as np
from mean_average_precision import MetricBuilder

plain, difficult = [0, 0, 10, 10, 0, 0, 0], [20, 20, 30, 30, 0, 1, 0]  # corners, class, difficult, crowd


def measure(*truth):
    """VOC's mAP where only the plain object is found."""
    metric = MetricBuilder.build_evaluation_metric("map_2d", async_mode=False, num_classes=1)
    metric.add(np.array([[0, 0, 10, 10, 0, 0.9]]), np.array(truth, dtype=float))
    return round(float(metric.value(iou_thresholds=0.5)["mAP"]), 4)


seen = measure(plain), measure(plain, difficult)
print(f"mean-average-precision {version('mean-average-precision')}, Python {platform.python_version()}")
print("Pascal VOC neither counts nor punishes a difficult object: where one is not found, AP stays 1.")
print(f"AP of a found object: {seen[0]}; with a difficult object beside it that is not found: {seen[1]}")
sys.exit(seen != (1.0, 0.5))
PY
