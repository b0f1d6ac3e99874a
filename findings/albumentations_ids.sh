#!/usr/bin/env bash
# albumentations passes numbers in label_fields through 32-bit floats: annotation ids above 2^24 come out changed.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q albumentations==2.0.8 numpy==2.4.6 opencv-python-headless==5.0.0.93 scipy==1.17.1
cd "$folder"
NO_ALBUMENTATIONS_UPDATE=1 "$folder/env/bin/python" - <<'PY'
import platform, sys
from importlib.metadata import version

import albumentations
import numpy as np

ids = [7, 16777217, 20260001337, 900100000123]  # the last has twelve digits, as ids of COCO's crowds have
boxes = [[5 * number, 5, 5 * number + 4, 20] for number in range(4)]
flip = albumentations.Compose(
    [albumentations.HorizontalFlip(p=1)],
    bbox_params=albumentations.BboxParams(format="pascal_voc", label_fields=["ids"]),
)
flipped = flip(image=np.zeros((40, 60, 3), dtype=np.uint8), bboxes=np.array(boxes, dtype=float), ids=ids)
seen = [int(number) for number in flipped["ids"]]
print(f"albumentations {version('albumentations')}, numpy {np.__version__}, Python {platform.python_version()}")
print(f"Ids that go in with four boxes: {ids}")
print(f"Ids that come out of a flip:    {seen}")
print(f"The nearest 32-bit floats:      {[int(np.float32(number)) for number in ids]}")
sys.exit(not (seen == [int(np.float32(number)) for number in ids] and seen[0] == ids[0] and seen[1:] != ids[1:]))
PY
