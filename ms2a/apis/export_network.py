"""What is traced into an ONNX file: the network with its memory as constants, decoding and suppression."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torchvision
from mmcv import Config
from mmdet.models.backbones.csp_darknet import Focus
from torch import Tensor, nn

from ms2a.runtime.about import STRIDES

DEFAULT_MAX_PER_IMG = 1000


class RawOutputs(nn.Module):
    """The network, with all that depends on memory alone as constants.

    Args:
        model: the detector in evaluation mode.
        domains: whose memory it reads; none where it has none.
    """

    def __init__(self, model: nn.Module, domains: Sequence[str]):
        super().__init__()
        self.backbone, self.neck, self.head = model.backbone, model.neck, model.bbox_head
        self.levels = model.adapter.levels if domains else None
        with torch.no_grad():
            self.remembered = model.adapter.remember(list(domains)) if domains else None

    def forward(self, images: Tensor, domain: Tensor | None = None) -> tuple[Tensor, ...]:
        """The nine maps of :data:`ms2a.runtime.about.RAW`.

        Args:
            images: (B, 3, H, W).
            domain: int64 (B,), which of the domains each image reads; None where there is one.
        """
        maps = self.neck(self.backbone(images))
        if self.levels is not None:
            if domain is None:  # made of the traced batch size, so that the file takes any
                domain = torch.zeros(images.shape[0], dtype=torch.long, device=images.device)
            maps = [
                adapt(feature, remembered, domain)
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

    def forward(self, images: Tensor, domain: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) → detections (B, K, 5) and labels (B, K)."""
        boxes, scores, labels = self.decode(self.network(images, domain))  # (B, N, 4), (B, N), (B, N)
        classes = torch.arange(self.head.cls_out_channels, device=labels.device)[:, None]
        by_class = torch.where(labels[:, None] == classes, scores[:, None], -1.0)  # (B, classes, N)
        chosen = _suppress(boxes, by_class, self.iou_threshold, self.score_thr)
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


def _suppress(boxes: Tensor, scores: Tensor, iou_threshold: float, score_thr: float) -> Tensor:
    if not torch.compiler.is_exporting():
        return _Suppression.apply(boxes, scores, iou_threshold, score_thr)
    # torch.export knows no Function.symbolic, and a number of rows that depends on values only by this operator.
    number = (scores > score_thr).nonzero().shape[0]
    limits = [torch.tensor([value]) for value in (torch.iinfo(torch.int64).max, iou_threshold, score_thr)]
    operands = (boxes, scores, *limits)
    return torch.onnx.ops.symbolic("NonMaxSuppression", operands, dtype=torch.int64, shape=(number, 3))


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


def stem_as_one_convolution(backbone: nn.Module) -> None:
    """Replaces a YOLOX's stem, four strided slices and a k×k convolution, by one 2k×2k convolution of stride 2.

    The same function, to rounding, without slices, which some runtimes do not know; in place, and nothing happens to a
    backbone with another stem.

    Args:
        backbone: with its batch norms folded.
    """
    focus = getattr(backbone, "stem", None)
    if not isinstance(focus, Focus):
        return
    old = focus.conv.conv
    num_out, channels, k, _ = old.weight.shape
    padding, channels = 2 * old.padding[0], channels // 4
    new = nn.Conv2d(channels, num_out, 2 * k, 2, padding, bias=old.bias is not None)
    with torch.no_grad():
        # mmdet concatenates the upper left pixels, then the lower left, the upper right and the lower right ones.
        corners = old.weight.unflatten(1, (2, 2, channels))  # (out, right, lower, channel, k, k)
        new.weight.copy_(corners.permute(0, 3, 4, 2, 5, 1).reshape(new.weight.shape))
        if old.bias is not None:
            new.bias.copy_(old.bias)
    backbone.stem = nn.Sequential(new, focus.conv.activate)
