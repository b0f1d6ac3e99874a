"""MS2A: memory storage-to-adaptation for cross-domain detection with few annotations.

Importing the package imports neither torch nor mmdet. ``ms2a.memory`` and ``ms2a.adaptation`` work without mmcv and
mmdet; ``ms2a.plugin`` adds the detector, losses, datasets, transforms and hooks to mmdet's registries.
"""

import logging
import os
import sys
import warnings
from importlib import import_module
from typing import Any

# A thread of OpenMP that waits looks for work so many times, some ten microseconds, then gives its core away. torch's
# own 300,000 are many times slower where other work runs, none at all are slower where none runs (docs/speed.md).
# OpenMP reads this once, when torch is loaded, and every process that is started from here inherits it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from ms2a import operators
from ms2a.version import __version__

__all__ = ["Detector", "__version__", "run_pipeline"]

# Name → where it is; imported when it is asked for.
_LAZY = {"Detector": "ms2a.apis.detector", "run_pipeline": "ms2a.pipeline.run"}

# mmcv 1.x announces mmcv 2.0 at every import, and mmcv and mmdet use what torch has deprecated since.
for _message in (
    "On January 1, 2023, MMCV will release",
    "torch.meshgrid: in an upcoming release",
    "`torch.cuda.amp",
):
    warnings.filterwarnings("ignore", message=_message)
# mmcv imports torch's compiler support, which warns of a CUDA compiler without a GPU; nothing is compiled here.
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)

operators.provide()

# mmdet's own tools import ``ms2a`` because a config says so, and then expect its classes in their registries.
if hasattr(sys.modules.get("mmdet"), "__version__"):
    import_module("ms2a.plugin")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ms2a' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
