"""The module ``mmcv._ext`` of an mmcv without compiled operators.

``requirements/mmcv`` puts this file into the wheel that it builds; :mod:`ms2a.operators` finds it for an mmcv from
elsewhere. mmcv asks for all of its operators when it is imported, so this module has every name.
"""

from collections.abc import Callable
from typing import Any


def __getattr__(name: str) -> Callable:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__} has no attribute {name}")

    def operator(*args: Any, **kwargs: Any) -> Any:
        # Not before the call: where mmdet is there, ms2a imports its plug-in, which needs the whole of mmcv.ops.
        from ms2a.operators import operator_named

        return operator_named(name)(*args, **kwargs)

    return operator
