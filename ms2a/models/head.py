"""mmdet's YOLOX head with two repairs: ``max_per_img`` is honoured and test-time augmentation works."""

import torch
from mmcv import ConfigDict
from mmdet.models.builder import HEADS
from mmdet.models.dense_heads import YOLOXHead
from torch import Tensor


@HEADS.register_module()
class MS2AYOLOXHead(YOLOXHead):
    """Stock YOLOX head; see mmdet for the arguments."""

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
