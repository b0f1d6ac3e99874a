"""Which pseudo-labels are believed: matched thresholds, vectors of boxes, and the memory of the target's objects."""

import numpy as np
import pytest
import torch
from mmdet.models import build_detector

from ms2a.errors import UserError
from ms2a.models.baselines.believed import MatchedThresholds, background_boxes, box_vectors
from tests.models.baselines.test_self_training import unlabelled, with_average
from tests.tiny_model import INPUT_HW, batch, build, metas, model_config

MAPS_HW = [(INPUT_HW[0] // stride, INPUT_HW[1] // stride) for stride in (8, 16, 32)]


def scored(*classes):
    """An image's result: boxes of no interest with these scores, class by class."""
    return [np.array([[0, 0, 9, 9, score] for score in scores], np.float32).reshape(-1, 5) for scores in classes]


def test_as_many_boxes_are_believed_as_annotated_images_hold():
    thresholds = MatchedThresholds(share=1.0, floor=0.1)
    images = [scored([0.9, 0.6, 0.3], [0.2]), scored([0.8, 0.5], [0.7, 0.4])]
    # Two images: 1.5 objects of the first class each are 3 boxes, half an object of the second 1, none of a third.
    assert thresholds([[*image, np.zeros((0, 5))] for image in images], (1.5, 0.5, 0.0)) == pytest.approx(
        [0.6, 0.7, np.inf]
    )


def test_thresholds_have_a_floor_and_remember_a_window():
    thresholds = MatchedThresholds(share=1.0, floor=0.25, window=2)
    assert thresholds([scored([0.9])], (3.0,)) == pytest.approx([0.25])  # fewer boxes than are wanted
    assert thresholds([scored([0.3]), scored([0.2])], (1.0,)) == pytest.approx([0.25])
    assert thresholds([scored([0.8]), scored([0.7])], (1.0,)) == pytest.approx([0.7])  # the first three are forgotten


def test_vectors_are_means_inside_boxes_of_their_own_image():
    maps = [torch.zeros(2, 2, *size) for size in MAPS_HW]
    for level in maps:
        level[0, 0], level[1, 1] = 3.0, 5.0
    maps[0][0, :, :4, :4] = torch.tensor([0.0, 7.0])[:, None, None]  # pixels 0 to 32
    boxes = [torch.tensor([[2.0, 2.0, 28.0, 28.0], [48.0, 40.0, 90.0, 60.0]]), torch.tensor([[10.0, 10.0, 60.0, 50.0]])]
    found = box_vectors(maps, boxes)
    assert found.shape == (3, 6)
    torch.testing.assert_close(found[0], torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0]))
    torch.testing.assert_close(found[1:], torch.tensor([[1.0, 0.0] * 3, [0.0, 1.0] * 3]))
    assert box_vectors(maps, [torch.zeros(0, 4)] * 2).shape == (0, 6)


def test_background_has_the_objects_sizes_and_lies_beside_them():
    torch.manual_seed(0)
    boxes = torch.tensor([[10.0, 10.0, 40.0, 30.0], [50.0, 0.0, 96.0, 20.0]])
    found = background_boxes(boxes, INPUT_HW, tries=50)
    assert 10 < len(found) <= 100
    assert (found[:, :2] >= 0).all() and (found[:, 2] <= 96.01).all() and (found[:, 3] <= 64.01).all()
    sizes = (found[:, 2:] - found[:, :2]).round()
    assert {tuple(size) for size in sizes.tolist()} == {(30.0, 20.0), (46.0, 20.0)}
    overlap = (torch.min(found[:, None, 2:], boxes[:, 2:]) - torch.max(found[:, None, :2], boxes[:, :2])).clamp(min=0)
    assert (overlap.prod(-1) < 0.2 * 46 * 20).all()
    assert len(background_boxes(torch.zeros(0, 4), INPUT_HW)) == 0


def learner(score_thr=0.0, **options):
    training = dict(score_thr=score_thr, start_iter=0)
    return with_average(build(self_training=training, object_memory=dict(channels=32, **options)).train())


def test_the_annotated_objects_of_the_target_fill_the_memory():
    model = learner(score_thr=1.1)
    model(**batch("day", "day"), **unlabelled())
    assert model.object_memory.filled == [0, 0]
    model(**batch("day", "night", "night"), **unlabelled())
    objects, background = model.object_memory.filled
    assert objects == 2 and background <= 8


def test_what_the_teacher_finds_does_not_fill_the_memory_and_an_empty_memory_believes_nothing(monkeypatch):
    model = learner()
    more = unlabelled()
    ask = model.self_training.pseudo_labelled
    joined = []
    monkeypatch.setattr(model.self_training, "pseudo_labelled", lambda *args: joined.append(ask(*args)) or joined[-1])
    model(**batch("day", "night"), **more)
    assert len(joined[-1][0]) == 0
    monkeypatch.setattr(model.object_memory, "agreement", lambda vectors: torch.ones(len(vectors)))
    model(**batch("day", "night"), **more)
    assert len(joined[-1][0]) == 2 and model.object_memory.filled[0] == 2


def test_boxes_that_look_like_background_are_no_labels(monkeypatch):
    model = learner()
    images = torch.rand(2, 3, *INPUT_HW) * 255
    *_, boxes, _ = model.self_training.pseudo_labelled(model, images, images, metas("night", "night"))
    seen = []

    def first_of_each_image(vectors):
        seen.append(vectors)
        return torch.where(torch.arange(len(vectors)) % len(boxes[0]) == 0, 1.0, -1.0)

    monkeypatch.setattr(model.object_memory, "agreement", first_of_each_image)
    asked = model.self_training.pseudo_labelled(model, images, images, metas("night", "night"), model.object_memory)
    assert [len(part) for part in asked[2]] == [1, 1] and len(seen[0]) == len(boxes[0]) + len(boxes[1])
    torch.testing.assert_close(asked[2][1], boxes[1][:1])
    assert not model.neck._forward_hooks


def test_the_vectors_that_are_asked_are_the_teachers():
    model = learner()
    images = torch.rand(2, 3, *INPUT_HW) * 255
    seen = []
    model.object_memory.agreement = lambda vectors: seen.append(vectors) or torch.ones(len(vectors))
    arguments = (model, images, images, metas("night", "night"), model.object_memory)
    *_, boxes, _ = model.self_training.pseudo_labelled(*arguments)
    model.eval()
    with torch.no_grad():
        expected = box_vectors(model.neck(model.backbone(images)), boxes)
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-5)


def test_matched_thresholds_are_asked_with_the_counts_that_travel_with_the_images():
    model = with_average(build(self_training=dict(score_thr=0.0, match=1.0)).train())
    images = torch.rand(2, 3, *INPUT_HW) * 255
    travelling = [dict(meta, objects_per_image=(0.0, 1.0)) for meta in metas("night", "night")]
    *_, boxes, labels = model.self_training.pseudo_labelled(model, images, images, travelling)
    assert sum(map(len, boxes)) == 2 and all((part == 1).all() for part in labels)


@pytest.mark.parametrize("domain, training", [("night", None), (None, dict(score_thr=0.5))])
def test_an_object_memory_without_teacher_or_target_is_refused(domain, training):
    config = model_config(object_memory=dict(channels=32), self_training=training)
    config.default_domain = domain
    with pytest.raises(UserError, match="object_memory needs model.default_domain, the name of the target, and"):
        build_detector(config)
