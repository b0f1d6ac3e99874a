"""ONNX files of a trained detector: images in, head outputs or detections out."""

import json
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmcv import Config
from torch import nn

from ms2a.apis.export_check import check_file, example_inputs
from ms2a.apis.export_network import Detections, RawOutputs, stem_as_one_convolution
from ms2a.apis.export_steps import preprocessing, suppression
from ms2a.artefacts import atomic_path, check_output, provenance
from ms2a.datasets.config_edits import test_pipeline
from ms2a.engine.fast_inference import fold_batch_norms
from ms2a.errors import UserError
from ms2a.memory.domains import choose_domain
from ms2a.models.build import build_model
from ms2a.runtime.about import DETECTIONS, DOMAIN, IMAGES, METADATA_KEY, RAW

logger = logging.getLogger("mmdet")

# How torch makes the graph: by running the network once, or by torch.export, which needs onnxscript. To its opset.
EXPORTERS = {"torchscript": 17, "dynamo": 18}
TRACED_SHAPE = (2, 3, 96, 160)


@dataclass(frozen=True)
class Form:
    """What a runtime wants of a file.

    Attributes:
        one_stem: the stem as one convolution of stride 2, see :func:`stem_as_one_convolution`.
        fixed: fixed sizes of images and batch, the head's maps, and no memory to choose.
        one_image: batches of one image.
    """

    one_stem: bool
    fixed: bool = False
    one_image: bool = False


# The stem: measured, see docs/runtimes.md. OpenCV 5.0.0 multiplies a batch by the memory's keys wrongly.
RUNTIMES = {
    "onnxruntime": Form(one_stem=False),
    "openvino": Form(one_stem=True),
    "opencv": Form(one_stem=True, fixed=True, one_image=True),
    "ncnn": Form(one_stem=True, fixed=True, one_image=True),
    "tract": Form(one_stem=True, fixed=True),
}


def export_onnx(
    cfg: Config,
    checkpoint: str | os.PathLike,
    out: str | os.PathLike,
    domain: str | None = None,
    raw: bool = False,
    all_domains: bool = False,
    size: Sequence[int] | None = None,
    batch: int | None = None,
    runtime: str = "openvino",
    exporter: str = "torchscript",
) -> list[str]:
    """Writes a trained detector as an ONNX file, checked against PyTorch before it is kept.

    The input ``images`` is (B, 3, H, W) float32, BGR in 0–255 as the test pipeline makes it; H and W are multiples of
    32. The outputs, in pixels of that input:

    * ``detections`` (B, K, 5) float32, x1, y1, x2, y2 and score by falling score, and ``labels`` (B, K) int64; K is the
      config's ``max_per_img``, 1000 if it has none, and rows without a detection have score 0 and label -1; or
    * (``raw``) the head's maps at strides 8, 16 and 32, each (B, channels, H/stride, W/stride): ``class<stride>`` and
      ``objectness<stride>`` before the sigmoid and ``box<stride>`` before decoding.

    What :mod:`ms2a.runtime` needs to know (frame, thresholds, classes, domains) is in the file's metadata.

    Args:
        cfg: from :func:`ms2a.config.load_config`.
        checkpoint: the trained weights, which hold the memory.
        out: the file to write.
        domain: whose memory the file holds; default: the target's. With ``all_domains`` it is the default of the file.
        raw: write the head's maps instead of detections.
        all_domains: the memories of all domains, and a second input ``domain``, int64 (B,), a position in the
            metadata's ``domains`` for each image.
        size: height and width of the images, fixed; None: any.
        batch: images in a batch, fixed; None: any, or 1 where ``size`` is fixed.
        runtime: the form for one of :data:`RUNTIMES`; the file runs in the others too where they can.
        exporter: which of torch's makes the graph, one of :data:`EXPORTERS`. torch calls the first deprecated; both
            files compute the same, OpenCV reads that of the first only.

    Returns:
        the runtimes that it was checked in; none where none is installed.

    Raises:
        UserError: onnx, or for ``"dynamo"`` onnxscript, is not installed, an unknown domain or none at all, no NMS, a
            checkpoint that does not fit, a form that the runtime can't run, or a file that does not compute what
            PyTorch does.
    """
    onnx = import_extra("onnx")
    if exporter not in EXPORTERS:
        raise UserError(f"`exporter={exporter}`: expected one of {', '.join(EXPORTERS)}")
    if exporter == "dynamo":
        if runtime == "opencv":
            raise UserError("`exporter=dynamo`: OpenCV (5.0.0) can't read such a file; take torchscript for it")
        import_extra("onnxscript", "onnxscript")
    shape = fixed_shape(size, batch)
    form = check_form(runtime, shape, raw, all_domains)
    check_output(out)
    model = fold_batch_norms(build_model(cfg, checkpoint))
    if form.one_stem:
        stem_as_one_convolution(model.backbone)
    domain = choose_domain(domain, model.domains, model.default_domain) if model.domains else None
    domains = list(model.domains) if all_domains else [domain] if domain else []
    if not raw and not cfg.model.test_cfg.get("nms"):
        raise UserError("the config has no model.test_cfg.nms: `raw=True` exports the head's maps")
    network = RawOutputs(model, domains)
    network = (network if raw else Detections(network, model.bbox_head, cfg.model.test_cfg)).eval()
    if not raw and (nms := cfg.model.test_cfg.nms).type != "nms":
        logger.warning(
            "ONNX has no operator for the config's %s: the file uses plain NMS at its IoU threshold %g; --raw leaves "
            "suppression to the program that runs it",
            *(nms.type, nms.iou_threshold),
        )
    pipeline = test_pipeline(cfg.data.test)
    about = dict(domain=domain, domains=domains, classes=list(model.CLASSES), raw=raw, shape=shape, runtime=runtime)
    about |= dict(preprocessing=preprocessing(pipeline), suppression=suppression(cfg.model.test_cfg))
    about |= dict(provenance=provenance(str(cfg.filename)))
    about["test_pipeline"] = repr(_plain(pipeline))  # as Python: JSON has no tuples
    if about["preprocessing"] is None:
        logger.warning("the test pipeline has steps that ms2a.runtime does not know: only MS2A's commands run the file")
    with atomic_path(out) as temporary:
        _trace(network, temporary, RAW if raw else DETECTIONS, shape, len(domains), exporter)
        if shape:
            fold_constants(temporary)
        write_about(onnx, temporary, about)
        return _checked(network, temporary, out, about)


def fixed_shape(size: Sequence[int] | None, batch: int | None) -> list[int] | None:
    """The fixed shape (B, 3, H, W) of a file's images; None: any.

    Raises:
        UserError: they are no sizes that the network takes.
    """
    if size is None:
        if batch is not None:
            raise UserError(f"`batch={batch}` without `size`: give both, or neither")
        return None
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 and side % 32 == 0 for side in size):
        raise UserError(f"`size={','.join(map(str, size))}`: expected height and width, multiples of 32")
    if batch is not None and batch < 1:
        raise UserError(f"`batch={batch}`: expected 1 or more")
    return [batch or 1, 3, *size]


def check_form(runtime: str, shape: Sequence[int] | None, raw: bool, all_domains: bool) -> Form:
    """What a runtime wants.

    Raises:
        UserError: there is no such runtime, or it can't run a file of this form.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"`runtime={runtime}`: expected one of {', '.join(RUNTIMES)}")
    form = RUNTIMES[runtime]
    if form.fixed and (shape is None or not raw or all_domains):
        raise UserError(
            f"`runtime={runtime}` takes fixed sizes and runs no NMS: give `size`, the pictures' height and width, and "
            "`raw`, and one `domain`"
        )
    if form.one_image and shape[0] > 1:
        raise UserError(f"`batch={shape[0]}`: {runtime} computes batches of the memory wrongly; leave it at 1")
    return form


def _plain(value: Any) -> Any:
    """The same of Python's own containers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if isinstance(value, list | tuple) else value


def import_extra(name: str, packages: str = "onnx onnxruntime") -> Any:
    """A package that not everybody has; ``packages`` are what to install.

    Raises:
        UserError: it is not installed, or lacks something itself.
    """
    try:
        return import_module(name)
    except ImportError as error:
        what = "is not installed" if error.name == name else f"cannot be imported ({error})"
        raise UserError(f"{name} {what}; run: pip install {packages}") from None


def write_about(onnx: Any, path: Path, about: dict[str, Any]) -> None:
    """Checks a file and writes into it what it is to say of itself."""
    content = onnx.load(str(path))
    onnx.checker.check_model(content)
    onnx.helper.set_model_props(content, {METADATA_KEY: json.dumps(about)})
    onnx.save(content, str(path))


def _trace(
    network: nn.Module,
    path: Path,
    outputs: Sequence[str],
    shape: Sequence[int] | None,
    num_domains: int,
    exporter: str,
) -> None:
    inputs = example_inputs(shape or TRACED_SHAPE, num_domains)
    names = (IMAGES, DOMAIN)[: len(inputs)]
    options = dict(input_names=list(names), output_names=list(outputs), opset_version=EXPORTERS[exporter])
    if exporter == "dynamo":
        options |= dict(dynamo=True, verbose=False, external_data=False)
        options |= dict(dynamic_shapes=None if shape else _any_shapes(names))
    else:
        options |= dict(dynamo=False, dynamic_axes=None if shape else _any_axes(names, outputs))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about sizes that are values of the graph here
        torch.onnx.export(network, inputs, str(path), **options)


def _any_axes(names: Sequence[str], outputs: Sequence[str]) -> dict[str, dict[int, str]]:
    axes = {name: {0: "batch"} for name in (*outputs, *names)}
    if outputs == RAW:
        axes |= {name: {0: "batch", 2: f"height_{name}", 3: f"width_{name}"} for name in outputs}
    return axes | {IMAGES: {0: "batch", 2: "height", 3: "width"}}


def _any_shapes(names: Sequence[str]) -> list[dict]:
    # torch.export keeps an axis of 1 apart; the file takes one image all the same.
    batch, height, width = (torch.export.Dim(name, min=2) for name in ("batch", "height_32", "width_32"))
    return [{0: batch, 2: 32 * height, 3: 32 * width}, {0: batch}][: len(names)]


def fold_constants(path: Path) -> None:
    """Computes what does not depend on the input, in place, by ONNX Runtime: no fixed size is left in the graph."""
    runtime = import_extra("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard operators only
    options.optimized_model_filepath = str(path)
    runtime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def _checked(network: nn.Module, path: Path, out: str | os.PathLike, about: dict[str, Any]) -> list[str]:
    """Compares with PyTorch in the runtime the file is for and in ONNX Runtime; none of those that are missing."""
    wanted = dict.fromkeys((about["runtime"], "onnxruntime"))
    engines = [name for name in wanted if name == "opencv" or (name in ("onnxruntime", "openvino") and find_spec(name))]
    if not engines:
        logger.warning("%s was not checked: no runtime is installed; run: pip install onnxruntime", out)
    for engine in engines:
        check_file(network, path, out, about, engine, len(about["domains"]))
    return engines
