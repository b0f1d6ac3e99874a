"""MS2A: memory storage-to-adaptation for cross-domain detection with few annotations.

Importing the package repairs mmcv and mmdet for current torch releases and registers the detector, losses, datasets,
transforms and hooks in mmdet's registries. Without mmcv and mmdet only ``ms2a.memory`` and ``ms2a.adaptation`` work.
"""

import logging
import warnings
from importlib.util import find_spec

from ms2a import operators
from ms2a.version import __version__

__all__ = ["__version__"]

operators.provide()

if find_spec("mmcv") and find_spec("mmdet"):
    # mmcv 1.x announces mmcv 2.0 at every import, and mmcv and mmdet use what torch has deprecated since.
    for message in (
        "On January 1, 2023, MMCV will release",
        "torch.meshgrid: in an upcoming release",
        "`torch.cuda.amp",
    ):
        warnings.filterwarnings("ignore", message=message)
    # mmcv imports torch's compiler support, which warns of a CUDA compiler without a GPU; nothing is compiled here.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)

    from ms2a.engine import compat

    compat.apply()

    from ms2a import datasets, engine, models  # noqa: F401
    from ms2a.models import baselines  # noqa: F401
