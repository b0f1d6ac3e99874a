"""The plug-in for mmdet: repairs mmcv and mmdet for current torch releases, and fills mmdet's registries.

Configs name this module in ``custom_imports``; :func:`ms2a.config.load_config` imports it.
"""

from ms2a.engine import compat

compat.apply()

from ms2a import datasets, models  # noqa: E402, F401
from ms2a.engine import console, divergence, hooks, optimizer, training_csv  # noqa: E402, F401
