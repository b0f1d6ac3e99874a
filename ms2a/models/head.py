"""mmdet's YOLOX head with two repairs, and with a teacher's objectness as the label of an image.

``max_per_img`` is honoured and test-time augmentation works.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from mmcv import ConfigDict
from mmdet.models.builder import HEADS
from mmdet.models.dense_heads import YOLOXHead
from torch import Tensor


@HEADS.register_module()
class MS2AYOLOXHead(YOLOXHead):
    """Stock YOLOX head; see mmdet for the arguments.

    An image whose meta has ``soft_objectness``, a map (1, H_l, W_l) in 0–1 for each level, of any size, is trained
    towards it wherever that is more than its boxes say, and its boxes do not teach where an object ends.
    """

    _soft: Iterator[Tensor | None]

    def loss(self, cls_scores, bbox_preds, objectnesses, gt_bboxes, gt_labels, img_metas, gt_bboxes_ignore=None):
        """See mmdet."""
        sizes = [level.shape[-2:] for level in objectnesses]
        soft = [_at_places(meta.get("soft_objectness"), sizes) for meta in img_metas]
        self._soft = iter(soft)
        if any(each is not None for each in soft):
            sure = torch.tensor([each is None for each in soft], device=bbox_preds[0].device)[:, None, None, None]
            bbox_preds = [torch.where(sure, level, level.detach()) for level in bbox_preds]
        labels = (gt_bboxes, gt_labels, img_metas, gt_bboxes_ignore)
        return super().loss(cls_scores, bbox_preds, objectnesses, *labels)

    def _get_target_single(self, *args):
        """Called for one image after the other."""
        is_object, classes, objectness, *rest = super()._get_target_single(*args)
        soft = next(self._soft)
        if soft is not None:
            objectness = torch.maximum(objectness, soft.to(objectness))
        return is_object, classes, objectness, *rest

    def aug_test(self, feats, img_metas, rescale=False):
        """Merges the candidates of an image's views; see mmdet's ``BBoxTestMixin.aug_test_bboxes``."""
        return self.aug_test_bboxes(feats, img_metas, rescale=rescale)

    def get_bboxes(self, *outs, img_metas=None, cfg=None, rescale=False, with_nms=True):
        """As in mmdet; ``with_nms=False`` returns (boxes, scores, labels) of every candidate of an image.

        mmdet's head ignores ``with_nms``, so that merging several views takes labels for scores.
        """
        cfg = self.test_cfg if cfg is None else cfg
        outs = [[level.float() for level in kind] for kind in outs]  # under autocast; NMS wants one precision
        if not with_nms:
            cfg = ConfigDict(cfg, nms=None)
        return super().get_bboxes(*outs, img_metas=img_metas, cfg=cfg, rescale=rescale)

    def _bboxes_nms(self, cls_scores: Tensor, bboxes: Tensor, score_factor: Tensor, cfg: ConfigDict):
        if cfg.nms is None:
            scores, labels = torch.max(cls_scores, 1)
            scores = scores * score_factor
            valid = scores >= cfg.score_thr
            return bboxes[valid], scores[valid], labels[valid]
        detections, labels = super()._bboxes_nms(cls_scores, bboxes, score_factor, cfg)
        if labels.numel() == 0:
            return bboxes.new_zeros(0, 5), labels  # mmdet returns four columns here
        max_per_img = cfg.get("max_per_img", -1)
        return (detections[:max_per_img], labels[:max_per_img]) if max_per_img > 0 else (detections, labels)


def _at_places(maps: Sequence[Tensor] | None, sizes: Sequence[tuple[int, int]]) -> Tensor | None:
    """Maps (1, H, W) of an image at the sizes of the head's levels: (N, 1), one place after the other."""
    if maps is None:
        return None
    resized = (F.interpolate(level[None], size, mode="bilinear") for level, size in zip(maps, sizes, strict=True))
    return torch.cat([level.flatten() for level in resized])[:, None]
