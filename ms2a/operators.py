"""The two operators of mmcv that this project needs, NMS and soft-NMS, for an mmcv without compiled operators.

mmcv 1.x looks for its operators in the module ``mmcv._ext``, which only a C++ build of mmcv-full makes; the wheel that
``requirements/mmcv`` builds without a compiler has :mod:`ms2a.mmcv_ext` there. For an mmcv from elsewhere ``provide()``
puts a finder behind Python's own: compiled operators are found first and used, else the finder gives that module.
Importing this file costs nothing: torch, torchvision and NumPy are imported when an operator is called.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ms2a.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MODULE = "mmcv._ext"
NAIVE, LINEAR, GAUSSIAN = 0, 1, 2


def provide() -> None:
    """Makes ``mmcv._ext`` importable where mmcv was built without operators; calling again changes nothing."""
    if not any(isinstance(finder, OperatorFinder) for finder in sys.meta_path):
        sys.meta_path.append(OperatorFinder())


def find_compiled() -> ModuleSpec | None:
    """Where mmcv's compiled operators are, None for an mmcv that has none."""
    import mmcv

    spec = PathFinder.find_spec(MODULE, mmcv.__path__)
    return spec if spec is not None and isinstance(spec.loader, ExtensionFileLoader) else None


class OperatorFinder(MetaPathFinder):
    """Finds ``mmcv._ext`` when nobody before it has, which is when mmcv has neither operators nor a stand-in."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """``ms2a/mmcv_ext.py`` as ``mmcv._ext``, None for every other module."""
        return spec_from_file_location(MODULE, Path(__file__).with_name("mmcv_ext.py")) if fullname == MODULE else None


def operator_named(name: str) -> Callable:
    """The operator that mmcv calls by this name.

    Raises:
        UserError: MS2A has no such operator.
    """
    found = {"nms": nms, "softnms": softnms}.get(name)
    if name in ("get_compiler_version", "get_compiling_cuda_version"):
        return lambda: "not available"
    if found is None:
        raise UserError(
            f"mmcv's operator {name} is not there: mmcv was installed without compiled operators, "
            "for which MS2A has nms and softnms only; tools/setup_env.sh --compiled of MS2A's sources builds them all"
        )
    return found


def nms(bboxes: "Tensor", scores: "Tensor", iou_threshold: float, offset: int) -> "Tensor":
    """Indices of the boxes that non-maximum suppression keeps, by falling score, as mmcv's operator gives them.

    Args:
        bboxes: (N, 4) x1 y1 x2 y2 in pixels, on any device.
        scores: (N,).
        iou_threshold: a box is dropped if its overlap with a better one is greater.
        offset: 1 if x2 and y2 are the last pixel inside the box, else 0.

    Returns:
        (M,) int64 on the boxes' device.
    """
    import numpy as np
    import torch
    import torchvision

    # mmcv compares floats with a float; torchvision would compare with a double, and 0.6f > 0.6 there.
    threshold = np.float32(iou_threshold)
    # The same call as mmcv's, so that equal scores come in the same order.
    order = scores.sort(0, descending=True)[1]
    if offset:
        # Older detectors count pixels this way. torchvision does not, and x2 + 1 beforehand rounds otherwise.
        with np.errstate(all="ignore"):
            return order[_nms_of_sorted(bboxes[order].detach().cpu().numpy(), threshold, np.float32(offset))]
    falling = torch.arange(0, -len(order), -1, dtype=bboxes.dtype, device=bboxes.device)
    return order[torchvision.ops.nms(bboxes[order], falling, float(threshold))]


def _nms_of_sorted(boxes: "np.ndarray", threshold: "np.float32", offset: "np.float32", block: int = 32) -> "np.ndarray":
    """Places kept among boxes (N, 4) that come by falling score; ``block`` boxes meet the rest at once."""
    import numpy as np

    places, kept = np.arange(len(boxes)), []
    corners = np.ascontiguousarray(boxes.T)
    while len(places):
        areas = _areas(corners, offset)
        # Not "<=": an overlap of 0 / 0 suppresses nothing.
        apart = ~(_overlaps(corners[:, :block, None], areas[:block, None], corners[:, None], areas, offset) > threshold)
        stay = np.ones(len(places), dtype=bool)
        for place, others in enumerate(apart):
            if stay[place]:
                kept.append(places[place])
                stay[place + 1 :] &= others[place + 1 :]
        stay[:block] = False
        places, corners = places[stay], corners[:, stay]
    return np.array(kept, dtype=np.int64)


def softnms(
    boxes: "Tensor",
    scores: "Tensor",
    dets: "Tensor",
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> "Tensor":
    """Soft-NMS (Bodla 2017) as mmcv's operator computes it, on the CPU like the latter.

    The best box is taken, the scores of boxes that overlap it are lowered, and boxes that fall below ``min_score`` are
    dropped; then the best of those left is taken. The order of equal scores is the operator's too, whose boxes change
    places: the box taken with the first one left, a dropped box with the last one.

    Args:
        boxes: (N, 4) float32 x1 y1 x2 y2 in pixels.
        scores: (N,) float32.
        dets: (N, 5) float32; the first M rows become the kept boxes' x1 y1 x2 y2 and lowered score, by falling score.
        iou_threshold: overlap from which methods 0 and 1 lower a score.
        sigma: width of method 2.
        min_score: a box whose score falls below it is dropped.
        method: 0 drops overlapping boxes, 1 multiplies their scores by 1 - overlap, 2 by exp(-overlap² / sigma).
        offset: 1 if x2 and y2 are the last pixel inside the box, else 0.

    Returns:
        (M,) int64 indices of the boxes kept.
    """
    import numpy as np
    import torch

    with np.errstate(all="ignore"):
        kept, indices = _softnms(
            boxes.detach().numpy(),
            scores.detach().numpy(),
            method,
            *np.float32([iou_threshold, sigma, min_score, offset]),
        )
    dets[: len(kept)] = torch.from_numpy(kept)
    return torch.from_numpy(indices)


def _softnms(
    boxes: "np.ndarray",
    scores: "np.ndarray",
    method: int,
    threshold: "np.float32",
    sigma: "np.float32",
    min_score: "np.float32",
    offset: "np.float32",
) -> tuple["np.ndarray", "np.ndarray"]:
    """Boxes and lowered scores (M, 5) and indices (M,) of what soft-NMS keeps of boxes (N, 4) with scores (N,)."""
    import numpy as np

    # Columns change places as the operator's arrays do: x1 y1 x2 y2, area, score, index.
    count = len(boxes)
    state = np.empty((7, count), np.float32)
    state[:4] = boxes.T
    state[4] = _areas(state[:4], offset)
    state[5] = scores
    indices = state[6].view(np.int32)
    indices[:] = np.arange(count)
    taken = 0
    while taken < count:
        best = taken + _first_greatest(state[5, taken:count])
        box = state[:, best].copy()
        state[:, best] = state[:, taken]
        state[:, taken] = box
        taken += 1
        rest = state[:, taken:count]
        overlaps = _overlaps(box[:4, None], box[4], rest[:4], rest[4], offset)
        touched = (overlaps if method == GAUSSIAN else overlaps >= threshold).nonzero()[0]
        # Scores that were too low from the start are met in the first round.
        if touched.size or taken == 1:
            rest[5][touched] *= _weights(overlaps[touched], method, sigma)
            dropped = rest[5] < min_score
            if dropped.any():
                count = taken + _close_gaps(rest, dropped)
    return state[[0, 1, 2, 3, 5], :count].T, indices[:count].astype(np.int64)


def _areas(corners: "np.ndarray", offset: "np.float32") -> "np.ndarray":
    """Areas (N,) of boxes (4, N)."""
    width, height = corners[2:] - corners[:2] + offset
    return width * height


def _overlaps(
    box: "np.ndarray", area: "np.ndarray", boxes: "np.ndarray", areas: "np.ndarray", offset: "np.float32"
) -> "np.ndarray":
    """Intersection over union (N,) of a box (4, 1) with boxes (4, N), every operation rounded as in mmcv."""
    import numpy as np

    sides = np.minimum(box[2:], boxes[2:])
    sides -= np.maximum(box[:2], boxes[:2])
    if offset:
        sides += offset
    # fmax: infinity - infinity counts as no overlap, as std::max(0.f, NaN) has it.
    np.fmax(sides, np.float32(0), out=sides)
    intersection = np.multiply(sides[0], sides[1], out=sides[0])
    union = area + areas
    union -= intersection
    intersection /= union
    return intersection


def _weights(overlaps: "np.ndarray", method: int, sigma: "np.float32") -> "np.ndarray":
    """What the scores of overlapping boxes are multiplied by."""
    import numpy as np

    if method == NAIVE:
        return np.zeros_like(overlaps)
    if method == LINEAR:
        return np.float32(1) - overlaps
    # exp in double precision, rounded once, is what the C library's expf gives.
    return np.exp((-(overlaps * overlaps) / sigma).astype(np.float64)).astype(np.float32)


def _first_greatest(scores: "np.ndarray") -> int:
    """Place of the first greatest score; NaN is never greater, and nothing is greater than NaN in the first place."""
    import numpy as np

    place = int(scores.argmax())
    if scores[place] == scores[place]:
        return place
    return 0 if np.isnan(scores[0]) else int(np.nanargmax(scores))


def _close_gaps(state: "np.ndarray", dropped: "np.ndarray") -> int:
    """Moves the last columns that stay into the places of dropped ones, the last column into the first gap.

    Returns:
        Number of columns that stay.
    """
    kept = ~dropped
    count = int(kept.sum())
    gaps = dropped[:count].nonzero()[0]
    if gaps.size:
        state[:, gaps] = state[:, count + kept[count:].nonzero()[0][::-1]]
    return count
