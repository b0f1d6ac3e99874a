"""MS2A: memory storage-to-adaptation for cross-domain detection with few annotations.

Importing the package repairs mmcv and mmdet for current torch releases and registers the detector, losses, datasets,
transforms and hooks in mmdet's registries. Without mmcv and mmdet only ``ms2a.memory`` and ``ms2a.adaptation`` work.
"""

from importlib.util import find_spec

from ms2a.version import __version__

__all__ = ["__version__"]

if find_spec("mmcv") and find_spec("mmdet"):
    from ms2a.engine import compat

    compat.apply()

    from ms2a import datasets, engine, models  # noqa: F401
