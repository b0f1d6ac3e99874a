#!/usr/bin/env bash
# A weak second box of the same detector nearly halves the score of the first in ensemble-boxes' weighted fusion.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q ensemble-boxes==1.0.9 numpy==2.4.6 numba==0.68.1 pandas==2.3.3
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import platform, sys
from importlib.metadata import version

import numpy as np
from ensemble_boxes import weighted_boxes_fusion

strong, weak = [0.10, 0.1, 0.30, 0.3], [0.11, 0.1, 0.31, 0.3]
alone = weighted_boxes_fusion([[strong]], [[0.9]], [[0]])[1]
both = weighted_boxes_fusion([[strong, weak]], [[0.9, 0.1]], [[0, 0]])[1]
print(f"ensemble-boxes {version('ensemble-boxes')}, numpy {np.__version__}, Python {platform.python_version()}")
print("One detector says 0.9 of an object, and 0.1 of a box that lies a twentieth beside it, as before NMS.")
print(f"Fused score of the strong box alone: {alone}; with the weak one: {both}. That is (0.9 + 0.1) / 2.")
sys.exit(not (np.allclose(alone, [0.9]) and np.allclose(both, [0.5])))
PY
