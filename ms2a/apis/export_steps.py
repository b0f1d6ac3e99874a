"""A test pipeline and thresholds in the words of :mod:`ms2a.runtime`."""

from collections.abc import Mapping, Sequence
from typing import Any

LOADING = ("LoadImageFromFile", "LoadPicture")
IGNORED = ("RandomFlip", "DefaultFormatBundle", "ImageToTensor", "Collect")


def preprocessing(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What :func:`ms2a.runtime.pictures.fit` is to do, with the significant bits of a picture.

    Args:
        pipeline: the test pipeline of a config.

    Returns:
        ``size_hw``, ``divisor``, ``fill`` and ``bit_depth``; None for a pipeline with other steps than those of the
        recipes.
    """
    if len(pipeline) != 2 or pipeline[0]["type"] not in LOADING or pipeline[1]["type"] != "MultiScaleFlipAug":
        return None
    load, views = pipeline
    size_hw, steps = views.get("img_scale"), [step for step in views["transforms"] if step["type"] not in IGNORED]
    if views.get("flip") or not _is_size(size_hw) or len(steps) != 2 or steps[1]["type"] != "Pad":
        return None
    resize, pad = steps
    square = size_hw[0] == size_hw[1] and resize["type"] == "Resize" and resize.get("keep_ratio")
    fill = pad.get("pad_val", 0)
    fill = fill.get("img", 0) if isinstance(fill, Mapping) else fill
    fills = set(fill) if isinstance(fill, list | tuple) else {fill}
    divisor, size = pad.get("size_divisor"), pad.get("size")
    framed = divisor or (size is not None and tuple(size) == tuple(size_hw)) or (pad.get("pad_to_square") and square)
    if not (square or resize["type"] == "FitResize") or not framed or len(fills) != 1:
        return None
    return dict(size_hw=list(size_hw), divisor=divisor, fill=float(fills.pop()), bit_depth=load.get("bit_depth"))


def suppression(test_cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of :func:`ms2a.runtime.boxes.suppress`; None for a config that suppresses nothing, or otherwise."""
    nms = test_cfg.get("nms") or {}
    if nms.get("type") not in ("nms", "soft_nms"):
        return None
    max_per_img = int(test_cfg.get("max_per_img", -1))
    about = dict(score_thr=float(test_cfg["score_thr"]), iou_threshold=float(nms["iou_threshold"]))
    about["max_per_img"] = max_per_img if max_per_img > 0 else None
    if nms["type"] == "nms":
        return about
    soft = dict(soft=nms.get("method", "linear"), sigma=nms.get("sigma", 0.5), min_score=nms.get("min_score", 1e-3))
    return about | soft


def _is_size(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(side, int) for side in value)
