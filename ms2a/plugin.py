"""The plug-in for mmdet: repairs mmcv and mmdet for current torch releases, and fills mmdet's registries.

Configs name this module in ``custom_imports``; :func:`ms2a.config.load_config` imports it.
"""

from ms2a.engine import compat

compat.apply()

from ms2a import datasets, engine, models  # noqa: E402, F401
