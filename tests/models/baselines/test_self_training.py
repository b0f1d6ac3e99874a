"""The teacher is the moving average; its boxes join the student's batch."""

import numpy as np
import pytest
import torch

from ms2a.errors import UserError
from ms2a.models.baselines.self_training import SelfTraining, teacher_state
from ms2a.models.detector import _BATCH
from tests.tiny_model import INPUT_HW, batch, build, metas


def with_average(model, value=None):
    """Registers the buffers that the hook of the moving average would."""
    for name, tensor in list(model.state_dict().items()):
        if ".prototypes" not in name:
            average = tensor.clone() if value is None or not tensor.is_floating_point() else tensor * value
            model.register_buffer(f"ema_{name.replace('.', '_')}", average)
    return model


def unlabelled(n=2):
    weak = torch.rand(n, 3, *INPUT_HW) * 255
    return dict(unlabelled_weak=weak, unlabelled_strong=weak.flip(1), unlabelled_metas=metas(*["night"] * n))


def test_the_teacher_is_the_average_and_the_student_is_left_alone():
    model = with_average(build(self_training=dict(score_thr=0.0)).train())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    images = torch.rand(2, 3, *INPUT_HW) * 255
    *_, boxes, _ = model.self_training.pseudo_labelled(model, images, images, metas("night", "night"))
    assert [part.training for part in model.modules()] == modes
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    model.eval()
    own = model.simple_test(images, metas("night", "night"))
    for found, expected in zip(boxes, own, strict=True):
        np.testing.assert_allclose(found.numpy(), np.vstack(expected)[:, :4], rtol=1e-5, atol=1e-4)

    for parameter in model.parameters():  # a student gone astray does not change the teacher
        parameter.data.zero_()
    *_, again, _ = model.self_training.pseudo_labelled(model, images, images, metas("night", "night"))
    for found, expected in zip(again, boxes, strict=True):
        torch.testing.assert_close(found, expected)


FOUND = [
    [np.array([[0, 0, 9, 9, 0.9], [20, 20, 30, 30, 0.49]], np.float32), np.array([[2, 2, 8, 8, 0.5]], np.float32)],
    [np.array([[5, 5, 9, 9, 0.3]], np.float32), np.zeros((0, 5), np.float32)],
]


def ask(monkeypatch, **options):
    """What becomes of two images in which the teacher finds ``FOUND``."""
    training = SelfTraining(score_thr=0.5, **options)
    monkeypatch.setattr(training, "_ask_teacher", lambda *_: FOUND)
    strong = torch.rand(2, 3, 40, 40)
    return strong, training.pseudo_labelled(None, strong, strong, ["first", "second"])


def test_boxes_below_the_threshold_are_no_labels_and_images_without_any_are_left_out(monkeypatch):
    strong, (views, names, boxes, labels) = ask(monkeypatch)
    assert names == ["first"]
    torch.testing.assert_close(views, strong[:1])
    assert [part.tolist() for part in boxes] == [[[0, 0, 9, 9], [2, 2, 8, 8]]]
    assert [part.tolist() for part in labels] == [[0, 1]]


def test_doubtful_places_are_painted_over_but_never_a_certain_box(monkeypatch):
    FOUND[0][0][1, :4] = 8, 8, 30, 30
    strong, (views, *_) = ask(monkeypatch, doubt_thr=0.4)
    expected = strong[0].clone()
    expected[:, 8:30, 8:30] = 114
    expected[:, 0:9, 0:9] = strong[0, :, 0:9, 0:9]
    torch.testing.assert_close(views[0], expected)
    strong, (views, *_) = ask(monkeypatch, doubt_thr=0.495)
    torch.testing.assert_close(views[0], strong[0])


@pytest.mark.parametrize("score_thr, joined", [(0.0, 2), (1.1, 0)])
def test_views_with_pseudo_labels_join_the_batch(monkeypatch, score_thr, joined):
    model = with_average(build(self_training=dict(score_thr=score_thr)).train())
    seen = {}
    whole = type(model).extract_feat

    def spy(self, img):
        if self.training:
            seen.update(images=img.detach(), domains=list(_BATCH.get().domains), boxes=_BATCH.get().boxes)
        return whole(self, img)

    monkeypatch.setattr(type(model), "extract_feat", spy)
    more = unlabelled()
    losses = model(**batch("day", "night"), **more)
    assert seen["domains"] == ["day", "night"] + ["night"] * joined
    assert len(seen["images"]) == len(seen["boxes"]) == 2 + joined
    if joined:
        torch.testing.assert_close(seen["images"][2:], more["unlabelled_strong"])
    model._parse_losses(losses)[0].backward()
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


def test_soft_labels_are_the_teachers_objectness_in_every_image():
    model = with_average(build(self_training=dict(score_thr=1.1, soft=True)).train())
    images = torch.rand(2, 3, *INPUT_HW) * 255
    views, found, boxes, _ = model.self_training.pseudo_labelled(model, images, images, metas("night", "night"))
    assert len(views) == 2 and not any(map(len, boxes))
    model.eval()
    with torch.no_grad(), model._reading(metas("night", "night")):
        objectness = model.bbox_head(model.extract_feat(images))[2]
    for index, meta in enumerate(found):
        for soft, level in zip(meta["soft_objectness"], objectness, strict=True):
            torch.testing.assert_close(soft, level[index].sigmoid(), rtol=1e-4, atol=1e-5)
    model.train()
    model._progress_in_iter = 1
    losses = model(**batch("day", "night"), **unlabelled())
    model._parse_losses(losses)[0].backward()
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


def test_the_teacher_is_not_asked_before_its_time():
    model = build(self_training=dict(start_iter=10)).train()  # no average yet: asking would fail
    model(**batch("day", "night"), **unlabelled())
    model._progress_in_iter = 10
    with pytest.raises(UserError, match="add MemoryEMAHook"):
        model(**batch("day", "night"), **unlabelled())


def test_teacher_state_has_the_averages_by_the_models_own_names():
    model = with_average(build(), value=2.0)
    state = teacher_state(model)
    torch.testing.assert_close(state["neck.out_convs.0.conv.weight"], 2 * model.neck.out_convs[0].conv.weight)
    assert "adapter.memory.memories.day.prototypes0" not in state
