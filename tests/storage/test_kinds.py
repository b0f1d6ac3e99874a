"""What a batch of images offers to the samples, with a detector that finds what the test says."""

from types import SimpleNamespace

import pytest
import torch

from ms2a.errors import UserError
from ms2a.storage.kinds import Vectors

SIZES = [(8, 8), (4, 4), (2, 2)]


class Head:
    """Finds a sure box at the upper left, and a weak one at the lower right."""

    def __call__(self, maps):
        return (maps,)

    def get_bboxes(self, maps, img_metas, rescale):
        assert len(img_metas) == 1 and not rescale
        found = torch.tensor([[0.0, 0, 16, 24, 0.3], [40, 40, 64, 64, 0.29]])
        return [(found, torch.zeros(2, dtype=torch.long))]


def test_vectors_are_foreground_where_a_box_is_sure_and_background_elsewhere():
    maps = [torch.rand(1, 5, *size) for size in SIZES]
    model = SimpleNamespace(backbone=lambda images: images, neck=lambda images: maps, bbox_head=Head())
    foreground, background = Vectors(model, dim=5)(torch.rand(1, 3, 64, 64))
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:3, :2] = True  # 24 rows and 16 columns of pixels, in cells of 8
    assert torch.equal(foreground.offered[0].view(8, 8), expected)
    for level, (height, width) in enumerate(SIZES):
        assert torch.equal(foreground.offered[level], ~background.offered[level])
        vector = foreground.rows[level][0].view(height, width, 5)[1, 0]
        assert torch.equal(vector, maps[level][0, :, 1, 0])


def test_another_number_of_channels_is_refused():
    maps = [torch.rand(1, 5, *size) for size in SIZES]
    model = SimpleNamespace(backbone=lambda images: images, neck=lambda images: maps, bbox_head=Head())
    with pytest.raises(UserError, match="`dim=4` is wrong: the neck of this config has 5 channels"):
        Vectors(model, dim=4)(torch.rand(1, 3, 64, 64))
