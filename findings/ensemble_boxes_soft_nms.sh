#!/usr/bin/env bash
# soft_nms of ensemble-boxes returns the scores as they came in: it lowers them to drop boxes, and forgets.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q ensemble-boxes==1.0.9 numpy==2.4.6 numba==0.68.1 pandas==2.3.3
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import math, platform, sys
from importlib.metadata import version

import numpy as np
from ensemble_boxes import soft_nms

boxes, scores = [[0.1, 0.1, 0.3, 0.3], [0.1, 0.1, 0.3, 0.28]], [0.9, 0.8]
overlap = 0.18 / 0.2  # the second box is the upper nine tenths of the first
expected = [0.9, 0.8 * math.exp(-(overlap**2) / 0.5)]
seen = soft_nms([boxes], [scores], [[0, 0]], method=2, sigma=0.5, thresh=0.001)[1]
print(f"ensemble-boxes {version('ensemble-boxes')}, numpy {np.__version__}, Python {platform.python_version()}")
print("Gaussian soft-NMS of two boxes of one class with IoU 0.9 and sigma 0.5: the second score is to decay.")
print(f"By hand: {[round(score, 4) for score in expected]}; soft_nms: {[round(float(score), 4) for score in seen]}")
sys.exit(not np.allclose(seen, scores))
PY
