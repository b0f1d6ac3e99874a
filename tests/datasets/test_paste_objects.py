import copy

import numpy as np
import pytest
from mmdet.datasets import build_dataset

from ms2a.datasets.paste_objects import PasteObjects
from ms2a.errors import UserError
from tests.datasets.test_cross_domain_mix import config  # noqa: F401, a fixture
from tests.datasets.test_transforms import sample

FRAME = (100, 100)
PASTE = dict(type="PasteObjects", domain="fog", img_scale=FRAME, prob=1.0)


def partner(size_hw=(100, 100), box=(20, 30, 60, 50), value=200, label=7) -> dict:
    """A black picture with a bright object in its box."""
    results = sample(size_hw, [box], 0)
    x1, y1, x2, y2 = np.round(box).astype(int)
    results["img"][y1:y2, x1:x2] = value
    results["gt_labels"] = np.int64([label])
    return results


def paste(canvas, *partners, **options) -> dict:
    return PasteObjects("fog", FRAME, **options)({**canvas, "mix_results": list(partners)})


@pytest.mark.parametrize("seed", range(5))
def test_an_object_lies_in_its_box_and_its_edge_fades(seed):
    np.random.seed(seed)
    canvas = sample((100, 100), [], 10)
    out = paste(copy.deepcopy(canvas), partner(), scale_range=(1, 1))
    ((x1, y1, x2, y2),) = out["gt_bboxes"]
    assert (x2 - x1, y2 - y1) == (40, 20) and out["gt_labels"].tolist() == [7]
    changed = np.argwhere((out["img"] != 10).any(axis=-1))
    assert (changed.min(axis=0) >= [y1, x1]).all() and (changed.max(axis=0) < [y2, x2]).all()
    inside = out["img"][int(y1) : int(y2), int(x1) : int(x2)]
    assert (inside[2:-2, 2:-2] == 200).all()
    # The wider edge of a larger object, six pixels, rises evenly.
    wide = paste(copy.deepcopy(canvas), partner(box=(10, 10, 90, 90)), scale_range=(1, 1))
    (x1, y1, *_) = wide["gt_bboxes"][0].astype(int)
    ramp = wide["img"][y1 + 40, x1 : x1 + 6, 0]
    np.testing.assert_allclose(ramp, 10 + 190 * np.arange(1, 7) / 6, atol=1)


def test_the_pictures_themselves_stay_as_they_are():
    np.random.seed(0)
    canvas, other = sample((100, 100), [[5, 5, 15, 15]], 10), partner()
    before = copy.deepcopy((canvas, other))
    paste(canvas, other)
    for now, then in zip((canvas, other), before, strict=True):
        assert all(np.array_equal(now[key], then[key]) for key in ("img", "gt_bboxes", "gt_labels"))


def test_boxes_keep_their_fractions_also_mirrored():
    lefts = set()
    for seed in range(8):
        np.random.seed(seed)
        out = paste(sample((100, 100), [], 10), partner(box=(20.25, 30.5, 60, 50)), scale_range=(1, 1))
        x1, y1, x2, y2 = out["gt_bboxes"][0]
        assert (x2 - x1, y2 - y1) == (39.75, 19.5)
        lefts.add(float(x1 % 1))
    assert lefts == {0.0, 0.25}  # mirrored, the fraction is on the other side


@pytest.mark.parametrize(
    "canvas_hw, partner_hw, width",
    [((200, 200), (100, 100), 80), ((100, 100), (50, 50), 80), ((50, 100), (100, 50), 40)],
)
def test_an_object_is_as_large_in_the_frame_as_in_its_own_picture(canvas_hw, partner_hw, width):
    np.random.seed(0)
    out = paste(sample(canvas_hw, [], 10), partner(partner_hw, (5, 5, 45, 25)), scale_range=(1, 1))
    assert out["gt_bboxes"][0, 2] - out["gt_bboxes"][0, 0] == width


def test_annotated_objects_are_hardly_covered():
    for seed in range(30):
        np.random.seed(seed)
        out = paste(sample((100, 100), [[0, 0, 100, 55]], 10), partner())
        assert len(out["gt_bboxes"]) <= 2
        for x1, y1, x2, y2 in out["gt_bboxes"][1:]:
            assert (x2 - x1) * max(0, 55 - y1) <= 0.2 * (x2 - x1) * (y2 - y1) + 1e-3
    np.random.seed(0)
    full = paste(sample((100, 100), [[0, 0, 100, 100]], 10), partner())
    assert len(full["gt_bboxes"]) == 1 and (full["img"] == 10).all()


def test_what_cannot_be_pasted_is_left_out():
    canvas = sample((100, 100), [], 10)
    assert len(paste(canvas, sample((100, 100), [], 0))["gt_bboxes"]) == 0  # no object
    too_large = paste(canvas, partner(box=(0, 0, 100, 100)), scale_range=(1, 1))
    assert len(too_large["gt_bboxes"]) == 0


def test_every_picture_gets_objects_of_the_domain_also_those_that_are_mixed_in(config):  # noqa: F811
    plain = build_dataset(config)
    pasted = build_dataset(dict(config, before_mixing=[dict(PASTE, most=1, scale_range=(0.3, 0.4))]))
    np.random.seed(0)
    more = [len(pasted.dataset[n]["gt_bboxes"]) - len(plain.dataset[n]["gt_bboxes"]) for n in range(len(plain))]
    assert set(more) <= {0, 1} and sum(more) > len(more) / 2
    assert "mix_results" not in pasted.dataset[0]
    transform = PasteObjects("fog", FRAME, prob=1.0, most=3)
    drawn = [index for _ in range(50) for index in transform.get_indexes(plain.dataset)]
    assert {plain.dataset[index]["domain"] for index in drawn} == {"fog"}
    assert 50 < len(drawn) <= 150
    assert PasteObjects("fog", FRAME, prob=0).get_indexes(plain.dataset) == []
    with pytest.raises(UserError, match=r"PasteObjects\(domain='rain'\): domains are sun, fog"):
        PasteObjects("rain", FRAME).get_indexes(plain.dataset)


@pytest.mark.parametrize("wrong", [dict(prob=2), dict(prob="much"), dict(most=0), dict(most=1.5)])
def test_wrong_arguments_are_told(wrong):
    with pytest.raises(UserError, match=rf"PasteObjects\({next(iter(wrong))}="):
        PasteObjects("fog", FRAME, **wrong)
