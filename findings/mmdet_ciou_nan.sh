#!/usr/bin/env bash
# mmdet 2.28.2's CIoU loss is NaN for a box that equals its target, where IoU, GIoU and DIoU loss are 0.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.9.1 torchvision==0.24.1 numpy==2.3.5 opencv-python==5.0.0.93 pillow==12.0.0 \
  addict==2.4.0 pyyaml==6.0.3 yapf==0.43.0 packaging==25.0 terminaltables==3.1.10 matplotlib==3.10.7 six==1.17.0 \
  scipy==1.16.3 pycocotools==2.0.11 setuptools==80.9.0 wheel==0.45.1
"$folder/env/bin/pip" install -q --no-deps --no-build-isolation mmcv==1.7.2 mmdet==2.28.2
cd "$folder"
"$folder/env/bin/python" - 2> /dev/null <<'PY'
import platform, sys, types
from importlib.metadata import version

import mmcv
import torch


class Operators(types.ModuleType):
    """Stands for mmcv's compiled operators, which mmdet imports and the losses don't use."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


parts = "carafe deform_conv merge_cells modulated_deform_conv multi_scale_deform_attn nms point_sample roi_align roi_pool"
for name in ("mmcv.ops", *(f"mmcv.ops.{part}" for part in parts.split())):
    sys.modules[name] = Operators(name)
from mmdet.models.losses import CIoULoss, DIoULoss, GIoULoss, IoULoss

print(f"mmdet {version('mmdet')}, torch {version('torch')}, Python {platform.python_version()}")
target = torch.tensor([[10.0, 10.0, 30.0, 40.0]])
seen = {}
for loss in (IoULoss, GIoULoss, DIoULoss, CIoULoss):
    box = target.clone().requires_grad_()
    value = loss()(box, target)
    value.backward()
    seen[loss.__name__] = bool(value.isnan()), bool(box.grad.isnan().any())
    print(f"{loss.__name__} of a box that equals its target: {value.item():.3f}, gradient {box.grad[0].tolist()}")
sys.exit(seen != {name: (name == "CIoULoss",) * 2 for name in seen})
PY
