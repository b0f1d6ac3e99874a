#!/usr/bin/env bash
# mapcalc takes detections in the order of the list: their scores do not change the average precision.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q mapcalc==0.2.2 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import platform, sys
from importlib.metadata import version

import numpy as np
from mapcalc import calculate_map

truth = {"boxes": [[0, 0, 10, 10]], "labels": [1]}
right, wrong = ([0, 0, 10, 10], 0.8), ([50, 50, 60, 60], 0.1)


def measure(*found):
    """Average precision at IoU 0.5 of detections in this order."""
    boxes, scores = zip(*found)
    return calculate_map(truth, {"boxes": list(boxes), "labels": [1, 1], "scores": list(scores)}, 0.5)


print(f"mapcalc {version('mapcalc')}, numpy {np.__version__}, Python {platform.python_version()}")
print("One object; a right detection of score 0.8 and a wrong one of 0.1. The right one is first by score: AP is 1.")
seen = measure(right, wrong), measure(wrong, right)
print(f"mapcalc with the right one listed first: {seen[0]}, listed second: {seen[1]}")
sys.exit(seen != (1.0, 0.5))
PY
