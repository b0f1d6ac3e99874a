"""The detector's wiring: domains, foreground masks, test-time behaviour, training steps."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from mmcv import ConfigDict
from mmdet.models import build_detector

from ms2a.engine.fast_inference import speed_up
from ms2a.errors import UserError
from ms2a.memory.files import write_maps
from ms2a.models import foreground_mask
from ms2a.models.detector import _BATCH
from tests.tiny_model import INPUT_HW, SIZES, batch, build, metas, model_config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(channels=64), "3 levels of 32 channels, the memory adapter 3 of 64"),
        (dict(memory=dict(domains=["day"], num_prototypes=4, sizes_hw=SIZES[:2])), "3 levels .* adapter 2 of 32"),
    ],
)
def test_levels_and_channels_of_the_memory_must_be_the_necks(change, message):
    config = model_config()
    config.adapter.update(change)
    with pytest.raises(UserError, match=message):
        build_detector(config)


@pytest.mark.parametrize("query", ["feature", "memory"])
def test_a_training_step_reaches_every_parameter(query):
    model = build(query=query, alignment=[dict(loss=dict(type="MMDLoss"), on="neck")]).train()
    model.bbox_head.use_l1 = True
    losses = model(**batch("day", "night"))
    assert {"loss_cls", "loss_bbox", "loss_obj", "loss_l1", "loss_foreground", "loss_mmd_neck"} <= set(losses)
    total, _ = model._parse_losses(losses)
    total.backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
    buffers = dict(model.named_buffers())
    assert "adapter.memory.memories.day.prototypes0" in buffers  # frozen: a buffer, not a parameter


def test_only_the_domains_present_get_gradients():
    model = build().train()
    total, _ = model._parse_losses(model(**batch("day", "day")))
    total.backward()
    memories = model.adapter.memory.memories
    assert memories["day"].residual0.grad.abs().sum() > 0
    assert memories["night"].residual0.grad is None


def test_domains_are_named_and_known():
    model = build()
    data = batch("day", "fog")
    with pytest.raises(UserError, match="unknown domain 'fog'.*day, night"):
        model(**data)
    data["img_metas"][1].pop("domain")
    with pytest.raises(UserError, match="no domain is named"):
        model.train()(**data)
    assert _BATCH.get() is None  # nothing is left behind by a failed pass


def test_an_unfilled_memory_is_an_error():
    with pytest.raises(UserError, match="holds no prototypes"):
        build(filled=False)(**batch("day"))


@torch.no_grad()
def test_each_image_of_a_batch_is_detected_as_alone_and_the_default_is_the_target():
    model = build().eval()
    img = torch.rand(3, 3, *INPUT_HW) * 255
    domains = ["day", "night", "day"]
    together = model.simple_test(img, metas(*domains))
    for i, domain in enumerate(domains):
        alone = model.simple_test(img[i : i + 1], metas(domain))[0]
        for a, b in zip(together[i], alone, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)
    unnamed = metas("night")
    unnamed[0].pop("domain")
    default, night, day = (model.simple_test(img[:1], m)[0] for m in (unnamed, metas("night"), metas("day")))
    np.testing.assert_array_equal(np.vstack(default), np.vstack(night))
    assert not np.allclose(np.vstack(default), np.vstack(day))


@torch.no_grad()
@pytest.mark.parametrize("fast", [False, True])
def test_threads_that_share_a_detector_get_what_one_alone_gets(fast, monkeypatch):
    model = build().eval()
    model = speed_up(model) if fast else model
    images = torch.rand(24, 3, *INPUT_HW) * 255
    calls = [(index, ("day", "night")[(index + shift) % 2]) for shift in range(2) for index in range(len(images))]

    @torch.no_grad()
    def detect(call):
        index, domain = call
        return model.simple_test(images[index : index + 1], metas(domain))[0]

    alone = [detect(call) for call in calls]
    # Another thread's turn comes between naming the domains and reading them.
    whole = type(model).extract_feat
    monkeypatch.setattr(type(model), "extract_feat", lambda self, img: time.sleep(0.01) or whole(self, img))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detect, calls))
    for ours, theirs in zip(together, alone, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    assert not np.allclose(np.vstack(alone[0]), np.vstack(alone[len(images)]), atol=1e-3)  # the other domain's


@torch.no_grad()
@pytest.mark.parametrize("query", ["feature", "memory"])
@pytest.mark.parametrize("fast", [False, True])
def test_a_detector_used_under_autocast_works_without_it_afterwards(query, fast):
    model = build(query=query).eval()
    image = torch.rand(1, 3, *INPUT_HW) * 255
    expected = np.vstack(model.simple_test(image, metas("day"))[0])
    model = speed_up(model) if fast else model
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = np.vstack(model.simple_test(image, metas("day"))[0])
    assert np.isfinite(rough).all()
    np.testing.assert_allclose(np.vstack(model.simple_test(image, metas("day"))[0]), expected, atol=1e-2)


@torch.no_grad()
def test_images_of_a_batch_that_differ_in_size_are_detected_as_alone():
    """Whatever the batch was padded with: here with noise."""
    model = build().eval()
    sizes = [(64, 96), (64, 64), (32, 96), (64, 64)]
    batch_metas = metas("day", "night", "day", "day")
    for meta, size_hw in zip(batch_metas, sizes, strict=True):
        meta["pad_shape"] = (*size_hw, 3)
    img = torch.rand(4, 3, *INPUT_HW) * 255
    together = model.simple_test(img, batch_metas)
    for index, (height, width) in enumerate(sizes):
        cut = img[index : index + 1, :, :height, :width]
        for a, b in zip(together[index], model.simple_test(cut, [batch_metas[index]])[0], strict=True):
            assert len(a) == len(b)
            np.testing.assert_allclose(a, b, atol=1e-3)


@torch.no_grad()
def test_max_per_img_and_views_without_detections():
    model = build().eval()
    img = torch.rand(1, 3, *INPUT_HW) * 255
    assert len(np.vstack(model.simple_test(img, metas("day"))[0])) == 7
    views, view_metas = [img, img.flip(3)], [metas("day"), metas("day", flip=True)]
    merged = model.aug_test(views, view_metas, rescale=True)[0]
    assert len(np.vstack(merged)) == 7
    counts = []
    for max_per_img in (10**6, -1):  # mmdet's "all"
        model.bbox_head.test_cfg.max_per_img = max_per_img
        counts.append(len(np.vstack(model.simple_test(img, metas("day"))[0])))
    assert counts[0] == counts[1] > 7
    model.bbox_head.test_cfg.score_thr = 1.1
    for result in (model.aug_test(views, view_metas, rescale=True)[0], model.simple_test(img, metas("day"))[0]):
        assert [part.shape for part in result] == [(0, 5), (0, 5)]


@torch.no_grad()
def test_views_agree_with_one_view_when_they_are_the_same():
    model = build().eval()
    img = torch.rand(1, 3, *INPUT_HW) * 255
    one = model.simple_test(img, metas("day"), rescale=True)[0]
    both = model.aug_test([img, img], [metas("day"), metas("day")], rescale=True)[0]
    for a, b in zip(one, both, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_foreground_mask_by_hand():
    boxes = [torch.tensor([[0.0, 0.0, 64.0, 32.0], [70.0, 40.0, 74.0, 44.0]]), torch.zeros(0, 4)]
    mask = foreground_mask(boxes, (2, 3))
    expected = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the second box is small: it keeps its cell
    torch.testing.assert_close(mask, torch.stack([expected, torch.zeros(2, 3)])[:, None])


def test_foreground_mask_matches_a_loop():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(20, 2, 2, generator=generator) * 300
    boxes = torch.cat([corners.min(1).values, corners.max(1).values], 1)
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) > 32).all(1)]  # each covers a centre; small ones are tested by hand
    expected = torch.zeros(9, 9)
    for x1, y1, x2, y2 in boxes.tolist():
        for row in range(9):
            for column in range(9):
                if x1 <= 32 * (column + 0.5) <= x2 and y1 <= 32 * (row + 0.5) <= y2:
                    expected[row, column] = 1
    assert len(boxes) > 5 and 0 < expected.mean() < 1
    torch.testing.assert_close(foreground_mask([boxes], (9, 9))[0, 0], expected)


def test_foreground_mask_follows_multi_scale_resizing():
    """The branch is taught at the size the network saw, not at the size the pipeline made."""
    model = build().train()
    seen = []
    model.foreground.loss = lambda c5, boxes: seen.append((c5.shape[-2:], boxes[0].clone())) or c5.sum() * 0
    model._input_size = (128, 192)  # twice the default
    model(**batch("day"))
    size_hw, boxes = seen[0]
    assert tuple(size_hw) == (4, 6)
    torch.testing.assert_close(boxes, torch.tensor([[20.0, 20.0, 120.0, 100.0]]))


def test_checkpoint_holds_the_whole_model(tmp_path):
    model = build()
    torch.save(model.state_dict(), tmp_path / "model.pth")
    other = build(filled=False)
    other.load_state_dict(torch.load(tmp_path / "model.pth", weights_only=True))
    data = torch.rand(1, 3, *INPUT_HW) * 255
    a, b = (m.eval().simple_test(data, metas("day"))[0] for m in (model, other))
    np.testing.assert_array_equal(np.vstack(a), np.vstack(b))


def test_without_additions_it_is_a_plain_yolox():
    config = model_config()
    for name in ("adapter", "foreground", "default_domain"):
        config.pop(name)
    torch.manual_seed(0)
    ours = build_detector(config.copy()).eval()
    stock = build_detector(ConfigDict(config, type="YOLOX", bbox_head=dict(config.bbox_head, type="YOLOXHead"))).eval()
    stock.load_state_dict(ours.state_dict())
    img = torch.rand(1, 3, *INPUT_HW) * 255
    for a, b in zip(ours.simple_test(img, metas(None))[0], stock.simple_test(img, metas(None))[0], strict=True):
        np.testing.assert_allclose(a, b[: len(a)], atol=1e-5)


def test_alignment_without_a_target_is_refused():
    config = model_config(alignment=[dict(loss=dict(type="MMDLoss"), on="neck")])
    config.default_domain = None
    with pytest.raises(UserError, match="alignment needs model.default_domain"):
        build_detector(config)


def test_alignment_reads_the_targets_memory_when_weights_are_initialised(tmp_path):
    files = {}
    for kind in ("foreground", "background"):
        files[f"night_{kind}"] = str(tmp_path / f"{kind}_cluster.pth")
        write_maps(files[f"night_{kind}"], [torch.randn(4, 32, 1)] * 3, {})
    to_memory = dict(channels=32, num_prototypes=4, files=files)
    model = build(alignment=[dict(loss=dict(type="MMDLoss"), to_memory=to_memory)]).train()
    boxes = [torch.tensor([[4.0, 4.0, 30.0, 30.0]])] * 2
    losses = model.forward_train(
        torch.rand(2, 3, *INPUT_HW) * 255, metas("day", "night"), boxes, [torch.tensor([0])] * 2
    )
    assert losses["loss_mmd_memory"].item() > 0


def test_the_foreground_loss_is_small_where_the_logits_are_the_mask():
    model = build()
    boxes = [torch.tensor([[10.0, 10.0, 90.0, 30.0]]), torch.tensor([[70.0, 40.0, 90.0, 60.0]])]
    # Cells of 32 pixels: the first box covers the upper row, the second the lower right cell.
    mask = torch.tensor([[[1.0, 1, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 1]]])[:, None]
    losses = {}
    for name, logits in dict(right=40 * mask - 20, wrong=20 - 40 * mask).items():
        model.foreground.forward = lambda c5, logits=logits: logits
        losses[name] = float(model.foreground.loss(None, boxes))
    assert losses["right"] == pytest.approx(0, abs=5e-3) and losses["wrong"] == pytest.approx(2, rel=1e-2)  # weight 2
