"""Checkpoints for mmdet's YOLOX from the YOLOX project's files: its own .pth, and ONNX files, folded."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv import Config
from mmdet.datasets import CocoDataset
from mmdet.models import build_detector
from torch import Tensor, nn

from ms2a.apis.export import import_extra
from ms2a.artefacts import load_torch, provenance, save_torch
from ms2a.config import CONFIGS, detector_options, load_config
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.defaults import DETECTORS
from ms2a.engine.sizes import size_of_weights
from ms2a.errors import UserError, warn
from ms2a.models.yolox import (
    convert_yolox,
    convolutions_in_order,
    is_yolox,
    load_folded,
    restore_batch_norms,
)
from ms2a.storage.image_batches import ImageBatches, memory_pipeline

BATCH_SIZE = 8
# Of the outputs in ONNX Runtime and here; boxes are in pixels where the file decodes them.
TOLERANCE = 1e-2
STRIDES = (8, 16, 32)


def convert_file(
    path: str | os.PathLike,
    out: str | os.PathLike,
    images: str | os.PathLike | None = None,
    classes: Sequence[str] | None = None,
    image_size: Sequence[int] = (416, 416),
) -> dict[str, Any]:
    """Writes a checkpoint in mmdet's layout.

    Args:
        path: the YOLOX project's ``.pth`` or ``.onnx`` file, of any size.
        out: where to write.
        images: for ONNX files: pictures to take the batch norms' statistics over, which folding has lost. A hundred
            of the kind that the detector was trained on will do.
        classes: names to record; default: COCO's where there are 80.
        image_size: height and width that the pictures are brought to, multiples of 32.

    Returns:
        ``size``, ``classes``, ``images`` (how many pictures were read) and ``difference``, see
        :func:`difference_to_onnx` (None where ONNX Runtime is not installed or there was nothing to compare).

    Raises:
        UserError: a file that can't be read, is of no known size or not the YOLOX project's, lacks class names or
            pictures, or computes something else than the detector made of it. Nothing is written then.
    """
    told: dict[str, Any] = dict(images=0, difference=None)
    if Path(path).suffix.lower() == ".onnx":
        if images is None:
            raise UserError(f"{path} has its batch norms folded, their statistics are lost; give pictures by `images`")
        model, size, classes = _from_onnx(path, classes, image_size)
        told["difference"] = difference_to_onnx(model, path)
        told["images"] = _restore(model, images, size, image_size)
        if told["difference"] is not None:
            told["difference"] = max(told["difference"], difference_to_onnx(model, path))
    else:
        model, size, classes = _from_checkpoint(path, classes)
    meta = dict(CLASSES=list(classes), detector=size, provenance=provenance(config=f"converted from {Path(path).name}"))
    save_torch({"meta": meta, "state_dict": model.state_dict()}, out)
    return dict(size=size, classes=list(classes), **told)


def open_yolox(path: str | os.PathLike, what: str) -> dict[str, Tensor] | None:
    """The ``state_dict`` of a checkpoint of the YOLOX project, float32 where it holds fractions.

    Args:
        path: the file.
        what: how to call it in an error.

    Returns:
        None if the file has another layout.

    Raises:
        UserError: missing, truncated or refused.
    """
    scalar = np.float64(0).__reduce__()[0]  # scores beside the weights of those who train with its code
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals([*names, np.dtype, type(np.dtype("f8"))]):
        content = load_torch(path, what)
    weights = content.get("model", content) if isinstance(content, dict) else {}
    if not isinstance(weights, dict) or not is_yolox(weights):
        return None
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def _from_checkpoint(path: str | os.PathLike, classes: Sequence[str] | None) -> tuple[nn.Module, str, Sequence[str]]:
    theirs = open_yolox(path, "checkpoint")
    if theirs is None:
        raise UserError(f"checkpoint {path} is not the YOLOX project's: expected 'model' with backbone.backbone.stem…")
    weights = convert_yolox(theirs)
    size = size_of_weights(weights)
    if size is None:
        raise UserError(f"checkpoint {path} is of no known size; known: {', '.join(DETECTORS)}")
    classes = _classes(classes, len(weights["bbox_head.multi_level_conv_cls.0.bias"]), path)
    model = build_detector(_config(size, classes).model)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise UserError(f"checkpoint {path} is no YOLOX of size {size}: {str(error).splitlines()[1].strip()}") from None
    return model.eval(), size, classes


def _from_onnx(
    path: str | os.PathLike, classes: Sequence[str] | None, image_size: Sequence[int]
) -> tuple[nn.Module, str, Sequence[str]]:
    folded = _read_folded(path)
    for size in DETECTORS:
        options = detector_options(size, "")
        names = convolutions_in_order(options["deepen_factor"], options["use_depthwise"])
        if len(names) == len(folded) and len(folded[0][1]) == int(64 * options["widen_factor"]):
            break
    else:
        raise UserError(
            f"{path} has {len(folded)} convolutions, the first of {len(folded[0][1])} channels: it is no YOLOX of the "
            f"sizes {', '.join(DETECTORS)}"
        )
    classes = _classes(classes, len(folded[names.index("bbox_head.multi_level_conv_cls.0")][1]), path)
    model = build_detector(_config(size, classes, image_size).model).eval()
    load_folded(model, folded, names)
    return model, size, classes


def _config(size: str, classes: Sequence[str], image_size: Sequence[int] = (416, 416)) -> Config:
    options = dict(detector=size, classes=list(classes), num_classes=len(classes), image_size=list(image_size))
    return load_config(CONFIGS / "yolox" / "yolox_fs_n_custom_base.py", options)


def _classes(classes: Sequence[str] | None, count: int, path: str | os.PathLike) -> Sequence[str]:
    classes = classes or (CocoDataset.CLASSES if count == len(CocoDataset.CLASSES) else ())
    if len(classes) != count:
        raise UserError(f"{path} has {count} classes, {len(classes)} were named; name them all by `classes`, in order")
    return classes


def _read_folded(path: str | os.PathLike) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every convolution of an ONNX file, in its order."""
    onnx = import_extra("onnx")
    if not Path(path).is_file():
        raise UserError(f"ONNX file {path} does not exist; check the path")
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise UserError(f"ONNX file {path} cannot be read ({type(error).__name__}); it may be truncated") from None
    if any(node.op_type == "BatchNormalization" for node in graph.node):
        raise UserError(f"ONNX file {path} has batch norms that are not folded; convert the .pth that it was made of")
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    arrays |= {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    if not convolutions or any(
        len(node.input) != 3 or not set(node.input[1:]) <= arrays.keys() for node in convolutions
    ):
        raise UserError(f"ONNX file {path} is no folded YOLOX: expected convolutions with a stored weight and bias")
    return [
        tuple(torch.from_numpy(onnx.numpy_helper.to_array(arrays[name]).astype(np.float32)) for name in node.input[1:])
        for node in convolutions
    ]


def _restore(model: nn.Module, images: str | os.PathLike, size: str, image_size: Sequence[int]) -> int:
    pipeline = memory_pipeline(_config(size, ["object"], image_size))
    batches = ImageBatches(ImageFolderDataset(images, pipeline), BATCH_SIZE)
    unreadable: list[str] = []

    def read() -> Iterator[Tensor]:
        for batch in batches.load(0, 1, torch.device("cpu")):
            unreadable.extend(batch.unreadable)
            if batch.images is not None:
                yield batch.images

    count = restore_batch_norms(model, read())
    if unreadable:
        warn(f"{len(unreadable)} pictures of {images} could not be read and are left out, e.g. {unreadable[0]}")
    return count


@torch.no_grad()
def difference_to_onnx(model: nn.Module, path: str | os.PathLike, image: Tensor | None = None) -> float | None:
    """The largest difference ``|a - b| / (1 + |b|)`` of a detector's outputs a to an ONNX file's outputs b.

    Args:
        model: the detector in evaluation mode, on the CPU.
        path: an ONNX file of the YOLOX project, with or without decoded boxes.
        image: (1, 3, H, W) in 0–255 that fits the file's input; default: a smooth random one.

    Returns:
        None without ONNX Runtime.

    Raises:
        UserError: it is more than 1e-2.
    """
    try:
        runtime = import_extra("onnxruntime")
    except UserError:
        warn(f"onnxruntime is not installed: the detector could not be compared with {path}")
        return None
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if image is None:
        given = session.get_inputs()[0].shape[2:]
        height, width = (side if isinstance(side, int) else 416 for side in given)
        noise = torch.rand(1, 3, height // 16, width // 16, generator=torch.Generator().manual_seed(0))
        image = nn.functional.interpolate(noise * 255, (height, width), mode="bilinear")
    theirs = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: image.numpy()})[0])
    raw = yolox_outputs(model, image)
    found = []
    for ours in (raw, _decoded(raw, image.shape[-2:])):
        if ours.shape == theirs.shape:
            apart = torch.where(ours == theirs, 0.0, ours - theirs)  # also where both are infinite
            difference = float((apart.abs() / (1 + theirs.abs())).max())
            if difference <= TOLERANCE:
                return difference
            found.append(difference)
    what = f"outputs differ by {found[0]:.3g}" if found else f"outputs have the shape {tuple(theirs.shape)}"
    raise UserError(f"{path} computes something else than the detector made of it: {what}; convert the .pth instead")


def yolox_outputs(model: nn.Module, image: Tensor) -> Tensor:
    """What the YOLOX project's network gives: (B, N, 5 + classes), box numbers, objectness and scores of all places."""
    kinds = model.bbox_head(model.neck(model.backbone(image)))
    levels = [
        torch.cat([box, objectness.sigmoid(), scores.sigmoid()], 1).flatten(2)
        for scores, box, objectness in zip(*kinds, strict=True)
    ]
    return torch.cat(levels, 2).transpose(1, 2)


def _decoded(raw: Tensor, size_hw: Sequence[int]) -> Tensor:
    """With boxes as centre, width and height in pixels."""
    grids, steps = [], []
    for stride in STRIDES:
        rows, columns = torch.arange(size_hw[0] // stride), torch.arange(size_hw[1] // stride)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        grids.append(torch.stack([x, y], -1).reshape(-1, 2))
        steps.append(torch.full((len(grids[-1]), 1), stride))
    grid, step = torch.cat(grids), torch.cat(steps)
    return torch.cat([(raw[..., :2] + grid) * step, raw[..., 2:4].exp() * step, raw[..., 4:]], -1)
