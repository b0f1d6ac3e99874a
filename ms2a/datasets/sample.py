"""What a data set hands to the transforms, copied no more than they need."""

import copy
from typing import Any

import numpy as np
from mmcv.parallel import DataContainer

_NEVER_CHANGED_IN_PLACE = {str, int, float, bool, type(None), tuple, DataContainer}


class Sample(dict):
    """An image's results whose deep copies share what no transform changes in place.

    mmdet copies the results of an image and of all its partners before every transform, the image and all that its
    annotation file says of it included.
    """

    SHARED = ("img", "img_info", "ann_info")

    def __deepcopy__(self, memo: dict) -> "Sample":
        return Sample((key, value if key in self.SHARED else _copied(value, memo)) for key, value in self.items())


def _copied(value: Any, memo: dict) -> Any:
    if type(value) in _NEVER_CHANGED_IN_PLACE:
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list):
        return [_copied(part, memo) for part in value]
    return copy.deepcopy(value, memo)
