#!/usr/bin/env bash
# kornia mirrors a box a pixel off if it is bbox_xyxy, not if it is bbox_xywh; Resize scales boxes less than pictures.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.9.1 numpy==2.4.6 kornia==0.9.0
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import platform, sys
from importlib.metadata import version

import kornia.augmentation as K
import torch

picture = torch.zeros(1, 1, 80, 100)
picture[..., 30:50, 10:40] = 1  # a white object in the dark
corners, sides = torch.tensor([[[10.0, 30.0, 40.0, 50.0]]]), torch.tensor([[[10.0, 30.0, 30.0, 20.0]]])


def seen(augmentation, key, box):
    """Left and right of the white pixels and of the box."""
    found, box = K.AugmentationSequential(augmentation, data_keys=["input", key])(picture, box.clone())
    columns = torch.nonzero(found[0, 0].amax(dim=0) > 0.5).flatten()
    left, right = box[0, 0, 0], box[0, 0, 2] + (box[0, 0, 0] if key == "bbox_xywh" else 0)
    return [int(columns.min()), int(columns.max()) + 1], [round(float(left), 2), round(float(right), 2)]


print(f"kornia {version('kornia')}, torch {version('torch')}, Python {platform.python_version()}")
print("A picture 100 pixels wide, an object from 10 to 40: [pixels of the object], [box]")
results = []
for name, augmentation in (("mirrored", K.RandomHorizontalFlip(p=1.0)), ("half as large", K.Resize((40, 50)))):
    for key, box in (("bbox_xyxy", corners), ("bbox_xywh", sides)):
        results.append(seen(augmentation, key, box))
        print(f"{name}, {key}: {results[-1][0]}, {results[-1][1]}")
mirrored, half = [[60, 90], [59.0, 89.0]], [[5, 20], [4.95, 19.8]]
sys.exit([list(each) for each in results] != [mirrored, [[60, 90], [60.0, 90.0]], half, [[5, 20], [4.95, 20.3]]])
PY
