"""ONNX files of a trained detector that reads one domain's memory: images in, head outputs or detections out."""

import json
import logging
import os
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from mmcv import Config
from torch import Tensor, nn

from ms2a.artefacts import atomic_path, provenance
from ms2a.datasets.config_edits import test_pipeline
from ms2a.engine.fast_inference import fold_batch_norms
from ms2a.errors import UserError
from ms2a.memory.domains import choose_domain
from ms2a.models.build import build_model

logger = logging.getLogger("mmdet")

OPSET = 17
STRIDES = (8, 16, 32)
INPUT, DETECTIONS = "images", ("detections", "labels")
RAW = tuple(f"{name}{stride}" for name in ("class", "box", "objectness") for stride in STRIDES)
# Everything that the file says of itself.
METADATA_KEY = "ms2a"
TOLERANCE = 1e-4
# Traced at one batch and size, checked at another.
TRACED_SHAPE, CHECKED_SHAPE = (2, 3, 96, 160), (3, 3, 160, 128)
DEFAULT_MAX_PER_IMG = 1000


def export_onnx(
    cfg: Config,
    checkpoint: str | os.PathLike,
    out: str | os.PathLike,
    domain: str | None = None,
    raw: bool = False,
) -> bool:
    """Writes a trained detector as an ONNX file, checked against PyTorch before it is kept.

    The input ``images`` is (B, 3, H, W) float32, BGR in 0–255 as the test pipeline makes it; H and W are multiples of
    32. The outputs, in pixels of that input:

    * ``detections`` (B, K, 5) float32, x1, y1, x2, y2 and score by falling score, and ``labels`` (B, K) int64; K is the
      config's ``max_per_img``, 1000 if it has none, and rows without a detection have score 0 and label -1; or
    * (``raw``) the head's maps at strides 8, 16 and 32, each (B, channels, H/stride, W/stride): ``class<stride>`` and
      ``objectness<stride>`` before the sigmoid and ``box<stride>`` before decoding.

    Args:
        cfg: from :func:`ms2a.config.load_config`.
        checkpoint: the trained weights, which hold the memory.
        out: the file to write.
        domain: whose memory the file holds; default: the target's.
        raw: write the head's maps instead of detections.

    Returns:
        whether the file could be checked; without ONNX Runtime it can't.

    Raises:
        UserError: onnx is not installed, an unknown domain or none at all, no NMS, a checkpoint that does not fit, or
            a file that does not compute what PyTorch does.
    """
    onnx = import_extra("onnx")
    model = fold_batch_norms(build_model(cfg, checkpoint))
    domain = choose_domain(domain, model.domains, model.default_domain) if model.domains else None
    if not raw and not cfg.model.test_cfg.get("nms"):
        raise UserError("the config has no model.test_cfg.nms: `raw=True` exports the head's maps")
    network = RawOutputs(model, domain)
    network = (network if raw else Detections(network, model.bbox_head, cfg.model.test_cfg)).eval()
    if not raw and cfg.model.test_cfg.nms.type != "nms":
        logger.warning(
            "ONNX has no operator for the config's %s: the file uses plain NMS at its IoU threshold %g; --raw leaves "
            "suppression to you",
            cfg.model.test_cfg.nms.type,
            cfg.model.test_cfg.nms.iou_threshold,
        )
    about = dict(domain=domain, classes=list(model.CLASSES), raw=raw, provenance=provenance(str(cfg.filename)))
    about["test_pipeline"] = repr(_plain(test_pipeline(cfg.data.test)))  # as Python: JSON has no tuples
    with atomic_path(out) as temporary:
        _trace(network, temporary, RAW if raw else DETECTIONS)
        content = onnx.load(str(temporary))
        onnx.checker.check_model(content)
        onnx.helper.set_model_props(content, {METADATA_KEY: json.dumps(about)})
        onnx.save(content, str(temporary))
        return _check(network, temporary, out)


def _plain(value: Any) -> Any:
    """The same of Python's own containers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if isinstance(value, list | tuple) else value


def import_extra(name: str) -> Any:
    """One of the packages of the extra ``export``.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise UserError(f"{name} is not installed; run: pip install onnx onnxruntime") from None


class RawOutputs(nn.Module):
    """The network, with all that depends on one domain's memory alone as constants.

    Args:
        model: the detector in evaluation mode.
        domain: whose memory it reads; None where it has none.
    """

    def __init__(self, model: nn.Module, domain: str | None):
        super().__init__()
        self.backbone, self.neck, self.head = model.backbone, model.neck, model.bbox_head
        self.levels = model.adapter.levels if domain else None
        with torch.no_grad():
            self.remembered = model.adapter.remember([domain]) if domain else None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) → the nine maps of :data:`RAW`."""
        maps = self.neck(self.backbone(images))
        if self.levels is not None:
            # Made of the traced batch size, so that the file takes any.
            domain_index = torch.zeros(images.shape[0], dtype=torch.long, device=images.device)
            maps = [
                adapt(feature, remembered, domain_index)
                for adapt, feature, remembered in zip(self.levels, maps, self.remembered, strict=True)
            ]
        return tuple(level for kind in self.head(maps) for level in kind)


class Detections(nn.Module):
    """Decoded boxes and plain NMS of the classes apart.

    Args:
        network: the network.
        head: mmdet's head, which decodes.
        test_cfg: the config's thresholds.
    """

    def __init__(self, network: RawOutputs, head: nn.Module, test_cfg: Config):
        super().__init__()
        self.network, self.head = network, head
        self.iou_threshold = float(test_cfg.nms.iou_threshold)
        max_per_img = int(test_cfg.get("max_per_img", -1))
        self.max_per_img = max_per_img if max_per_img > 0 else DEFAULT_MAX_PER_IMG  # which has to have a limit
        # mmdet keeps scores equal to the threshold, NonMaxSuppression does not.
        self.score_thr = float(np.nextafter(np.float32(test_cfg.score_thr), np.float32(-1)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) → detections (B, K, 5) and labels (B, K)."""
        boxes, scores, labels = self.decode(self.network(images))  # (B, N, 4), (B, N), (B, N)
        classes = torch.arange(self.head.cls_out_channels, device=labels.device)[:, None]
        by_class = torch.where(labels[:, None] == classes, scores[:, None], -1.0)  # (B, classes, N)
        chosen = _Suppression.apply(boxes, by_class, self.iou_threshold, self.score_thr)
        kept = torch.full_like(scores, -1.0).index_put((chosen[:, 0], chosen[:, 2]), scores.new_zeros(()))
        # K rows that stand for no detection, so that there are K to choose from in small images too.
        spare = scores.new_zeros(1, self.max_per_img).expand(scores.shape[0], -1)
        scores = torch.cat([torch.where(kept < 0, kept, scores), spare - 0.5], dim=1)
        labels = torch.cat([labels, (spare - 1).long()], dim=1)
        boxes = torch.cat([boxes, spare[..., None].expand(-1, -1, 4)], dim=1)
        scores, order = scores.topk(self.max_per_img, dim=1)
        found = scores >= 0
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4)) * found[..., None]
        return torch.cat([boxes, scores.clamp(min=0)[..., None]], dim=2), labels.gather(1, order)

    def decode(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The head's maps → boxes (B, N, 4) in pixels, scores (B, N) of the best class, and that class (B, N)."""
        levels = len(STRIDES)
        flat = [level.flatten(2).transpose(1, 2) for level in outputs]  # (B, H_l·W_l, channels)
        classes, boxes, objectness = (torch.cat(flat[i : i + levels], 1) for i in range(0, 3 * levels, levels))
        priors = self.head.prior_generator.grid_priors(
            [level.shape[2:] for level in outputs[:levels]], boxes.dtype, boxes.device, with_stride=True
        )
        scores, labels = classes.sigmoid().max(dim=2)
        return self.head._bbox_decode(torch.cat(priors), boxes), scores * objectness.sigmoid()[..., 0], labels


class _Suppression(torch.autograd.Function):
    """ONNX's NonMaxSuppression: (image, class, location) int64 (M, 3) of what is kept."""

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, score_thr: float) -> Tensor:
        chosen = [torch.zeros(0, 3, dtype=torch.long)]
        for image, label in np.ndindex(*scores.shape[:2]):
            places = (scores[image, label] > score_thr).nonzero()[:, 0]
            kept = places[torchvision.ops.nms(boxes[image, places], scores[image, label, places], iou_threshold)]
            which = torch.tensor([[image, label]]).expand(len(kept), 2)
            chosen.append(torch.cat([which, kept[:, None]], dim=1))
        return torch.cat(chosen)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, score_thr: float) -> Any:
        def constant(value: Any) -> Any:
            return g.op("Constant", value_t=torch.tensor([value]))

        limit = constant(torch.iinfo(torch.int64).max)
        return g.op("NonMaxSuppression", boxes, scores, limit, constant(iou_threshold), constant(score_thr))


def _trace(network: nn.Module, path: Path, outputs: Sequence[str]) -> None:
    axes = {name: {0: "batch"} for name in outputs}
    if outputs == RAW:
        axes = {name: {0: "batch", 2: f"height_{name}", 3: f"width_{name}"} for name in outputs}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about sizes that are values of the graph here
        torch.onnx.export(
            network,
            (torch.rand(TRACED_SHAPE) * 255,),
            str(path),
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_axes={INPUT: {0: "batch", 2: "height", 3: "width"}, **axes},
            dynamo=False,
        )


def _check(network: nn.Module, path: Path, out: str | os.PathLike) -> bool:
    """Compares with PyTorch at another batch and size; False without ONNX Runtime."""
    try:
        session = open_session(path)
    except UserError as error:
        logger.warning("%s was not checked: %s", out, error)
        return False
    batch, channels, height, width = CHECKED_SHAPE
    coarse = torch.rand(batch, channels, height // 8, width // 8, generator=torch.Generator().manual_seed(0)) * 255
    images = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")  # smooth, as images are
    with torch.no_grad():
        expected = [output.numpy() for output in network(images)]
    found = session.run(None, {INPUT: images.numpy()})
    if isinstance(network, Detections):
        pairs = zip(_rows(expected), _rows(found), strict=True)
        difference = max(detections_difference(*pair, network.max_per_img) for pair in pairs)
    else:
        difference = max(map(_difference, expected, found))
    if not difference <= TOLERANCE:
        raise UserError(
            f"{out} is not kept: at {'x'.join(map(str, CHECKED_SHAPE))} it differs from PyTorch by {difference:.1e}, "
            f"expected {TOLERANCE:g} at most"
        )
    return True


def open_session(path: str | os.PathLike) -> Any:
    """An ONNX Runtime session on the CPU, of as many threads as PyTorch uses.

    Raises:
        UserError: ONNX Runtime is not installed, or the file is missing or damaged.
    """
    runtime = import_extra("onnxruntime")
    if not Path(path).is_file():
        raise UserError(f"ONNX file {path} does not exist; check the path")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise UserError(f"ONNX file {path} cannot be read ({' '.join(str(error).split())}); export it again") from None


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference, as a share of the largest value where that is above 1."""
    return float(np.abs(expected - found).max() / max(np.abs(expected).max(), 1))


def _rows(outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each image (M, 6): its detections with their labels."""
    return [np.c_[rows, labels][labels >= 0] for rows, labels in zip(*outputs, strict=True)]


def detections_difference(expected: np.ndarray, found: np.ndarray, max_per_img: int | None = None) -> float:
    """How far the detections of an image differ whatever their order, (M, 6) and (M', 6): boxes, score and label.

    Args:
        expected: one side.
        found: the other.
        max_per_img: a side that has so many was cut: which of equally weak ones were kept then does not count.

    Returns:
        the largest distance of a detection of either side from the nearest one of the other, each column as a share of
        its largest value where that is above 1; infinite if only one side has any.
    """
    if not len(expected) or not len(found):
        return 0.0 if len(expected) == len(found) else float("inf")
    scale = np.maximum(np.abs(expected).max(0), 1)
    distances = (np.abs(expected[:, None] - found[None]) / scale).max(2)
    cut = max((side[:, 4].min() + TOLERANCE for side in (expected, found) if len(side) == max_per_img), default=-1)
    unmatched = [distances.min(1)[expected[:, 4] > cut], distances.min(0)[found[:, 4] > cut]]
    return float(np.max(np.concatenate(unmatched), initial=0))
