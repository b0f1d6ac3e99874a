#!/usr/bin/env bash
# map-boxes never counts false detections on pictures without an object, though exclude_not_in_annotations is False.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q map-boxes==1.0.6 numpy==2.4.6 pandas==2.3.3
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import platform, sys
from importlib.metadata import version

import numpy as np
from map_boxes import mean_average_precision_for_boxes

place = [0.1, 0.2, 0.1, 0.2]  # x from, x to, y from, y to
truth = np.array([["a.jpg", "nut", *place]], dtype=object)
right = ["a.jpg", "nut", 0.8, *place]


def measure(wrong):
    """mAP of the right detection and a better scored wrong one."""
    found = np.array([wrong, right], dtype=object)
    return mean_average_precision_for_boxes(truth, found, exclude_not_in_annotations=False, verbose=False)[0]


seen = measure(["a.jpg", "nut", 0.9, 0.5, 0.6, 0.5, 0.6]), measure(["b.jpg", "nut", 0.9, 0.5, 0.6, 0.5, 0.6])
print(f"map-boxes {version('map-boxes')}, numpy {np.__version__}, Python {platform.python_version()}")
print("One object, in a.jpg, found with 0.8; a false detection has 0.9. All is found at a precision of a half: 0.5.")
print(f"map-boxes with the false one in a.jpg: {seen[0]}, in b.jpg, where nothing is: {seen[1]}")
sys.exit(seen != (0.5, 1.0))
PY
