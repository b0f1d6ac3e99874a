import copy

import numpy as np
from mmdet.core import BitmapMasks

from ms2a.datasets.sample import Sample


def test_copies_share_the_image_and_nothing_that_is_changed_in_place():
    def sample(**more):
        boxes, masks = np.zeros((1, 4)), BitmapMasks(np.zeros((1, 2, 2), np.uint8), 2, 2)
        return Sample(img=np.zeros((2, 2, 3), np.uint8), gt_bboxes=boxes, gt_masks=masks, bbox_fields=["a"], **more)

    first = sample(mix_results=[sample()])
    second = copy.deepcopy(first)
    for one, other in ((first, second), (first["mix_results"][0], second["mix_results"][0])):
        assert isinstance(other, Sample) and other["img"] is one["img"]
        other["gt_bboxes"] += 1
        other["gt_masks"].masks += 1
        other["bbox_fields"].append("b")
        assert not one["gt_bboxes"].any() and not one["gt_masks"].masks.any() and one["bbox_fields"] == ["a"]
