"""A teacher's objectness as the label of an image."""

import pytest
import torch
import torch.nn.functional as F

from tests.tiny_model import build


@pytest.fixture
def head():
    return build().bbox_head.train()


def outputs(head, images=2, hw=(64, 96)):
    """Random maps of all levels, by kind."""
    torch.manual_seed(1)
    sizes = [(hw[0] // stride, hw[1] // stride) for stride in (8, 16, 32)]
    kinds = (head.cls_out_channels, 4, 1)
    return [[torch.randn(images, channels, *size, requires_grad=True) for size in sizes] for channels in kinds]


def losses(head, maps, metas):
    boxes = [torch.tensor([[8.0, 8, 40, 40]]), torch.tensor([[30.0, 10, 80, 50]])]
    return head.loss(*maps, boxes, [torch.tensor([0])] * 2, metas)


def test_a_taught_image_learns_objectness_and_class_but_not_where_an_object_ends(head):
    maps = outputs(head)
    soft = [torch.full((1, 4, 4), 0.3), torch.full((1, 2, 2), 0.1), torch.zeros(1, 1, 1)]  # of another size
    plain, taught = losses(head, maps, [{}, {}]), losses(head, maps, [{}, dict(soft_objectness=soft)])
    assert taught["loss_bbox"] == plain["loss_bbox"] and taught["loss_cls"] == plain["loss_cls"]

    def objectness_gradients(found):
        return torch.autograd.grad(found["loss_obj"], maps[2], retain_graph=True)

    sides = zip(objectness_gradients(plain), objectness_gradients(taught), (0.3, 0.1, 0.0), strict=True)
    shares = []
    for one, other, value in sides:
        torch.testing.assert_close(one[0], other[0])  # the other image is as it was
        moved = (one - other)[1].flatten()  # by the label's change, as a share of the number of objects
        assert (moved.abs() > 1e-6).any() == (value > 0)
        shares += [change / value for change in moved.tolist() if abs(change) > 1e-6]
    assert max(shares) == pytest.approx(min(shares), rel=1e-3)
    gradients = torch.autograd.grad(taught["loss_bbox"], maps[1])
    assert any(level[0].any() for level in gradients)
    assert not any(level[1].any() for level in gradients)


def test_the_label_of_a_place_is_the_larger_of_both(head):
    maps = outputs(head, images=1)
    soft = [torch.rand(1, *level.shape[-2:]) for level in maps[2]]
    found = head.loss(*maps, [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.long)], [dict(soft_objectness=soft)])
    logits, labels = (torch.cat([level.flatten() for level in side]) for side in (maps[2], soft))
    expected = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")  # without an object: as it is
    torch.testing.assert_close(found["loss_obj"], expected)
