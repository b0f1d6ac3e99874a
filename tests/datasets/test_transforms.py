import numpy as np
import pytest
from mmdet.core import BitmapMasks
from mmdet.datasets.builder import PIPELINES

from benchmarks.copy_paste import MaskPerBox
from ms2a.datasets.transforms import CrossDomainCopyPaste


def sample(size_hw, boxes, value, masks=None) -> dict:
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    results = dict(
        img=np.full((*size_hw, 3), value, dtype=np.uint8),
        gt_bboxes=boxes,
        gt_labels=np.full(len(boxes), value, dtype=np.int64),
        mask_fields=[],
        domain=f"value{value}",
    )
    if masks is not None:
        results.update(gt_masks=BitmapMasks(masks, *size_hw), mask_fields=["gt_masks"])
    return results


def paste(canvas, partner, **kwargs) -> dict:
    transform = PIPELINES.build(dict(type="CrossDomainCopyPaste", selected=False, **kwargs))
    return transform({**canvas, "mix_results": [partner]})


def test_partner_of_the_same_size_is_pasted_box_by_box():
    out = paste(sample((40, 60), [[1.25, 2.5, 11.75, 22.5]], 1), sample((40, 60), [[30, 10, 50, 30]], 2))
    expected = np.full((40, 60, 3), 1)
    expected[10:30, 30:50] = 2
    np.testing.assert_array_equal(out["img"], expected)
    assert out["img"].dtype == np.uint8
    # The box nothing was pasted over keeps its fractions.
    np.testing.assert_array_equal(out["gt_bboxes"], np.float32([[1.25, 2.5, 11.75, 22.5], [30, 10, 50, 30]]))
    assert out["gt_labels"].tolist() == [1, 2]
    assert out["domain"] == "value1"
    assert "gt_masks" not in out and out["mask_fields"] == []


@pytest.mark.parametrize(
    "partner_hw, boxes, expected",
    [
        ((80, 120), [[20, 40, 80, 60]], [10, 20, 40, 30]),
        # 20 × 30 fits twice; 40 × 40 leaves its ratio and is padded at the right.
        ((20, 30), [[5, 10, 20, 15]], [10, 20, 40, 30]),
        ((40, 40), [[5, 10, 20, 15]], [5, 10, 20, 15]),
        ((80, 40), [[20, 40, 40, 80]], [10, 20, 20, 40]),
    ],
)
def test_partner_of_another_size_is_resized_and_padded(partner_hw, boxes, expected):
    out = paste(sample((40, 60), [], 1), sample(partner_hw, boxes, 2))
    np.testing.assert_array_equal(out["gt_bboxes"], np.float32([expected]))
    x1, y1, x2, y2 = expected
    picture = np.full((40, 60, 3), 1)
    picture[y1:y2, x1:x2] = 2
    np.testing.assert_array_equal(out["img"], picture)


def test_boxes_are_cut_or_dropped_where_pasted_over():
    canvas = sample((40, 60), [[10, 10, 30, 20], [40, 10, 50, 20]], 1)
    out = paste(canvas, sample((40, 60), [[20, 5, 55, 35]], 2), bbox_occluded_thr=3, mask_occluded_thr=50)
    np.testing.assert_array_equal(out["gt_bboxes"], np.float32([[10, 10, 20, 20], [20, 5, 55, 35]]))
    assert out["gt_labels"].tolist() == [1, 2]


@pytest.mark.parametrize("selected", [True, False])
@pytest.mark.parametrize("canvas_boxes, partner_boxes", [([], []), ([], [[1, 1, 9, 9]]), ([[1, 1, 9, 9]], [])])
def test_empty_boxes_on_either_side(canvas_boxes, partner_boxes, selected):
    transform = PIPELINES.build(dict(type="CrossDomainCopyPaste", selected=selected))
    canvas = sample((20, 30), canvas_boxes, 1)
    for _ in range(5):
        out = transform({**canvas, "mix_results": [sample((25, 25), partner_boxes, 2)]})
        assert out["gt_bboxes"].shape == (len(out["gt_labels"]), 4)
        assert set(out["gt_labels"]) <= {1, 2}
        assert out["img"].shape == (20, 30, 3)
        assert "gt_masks" not in out


def test_instance_masks_are_used_where_there_are_any():
    mask = np.zeros((1, 40, 60), dtype=np.uint8)
    mask[0, 10:20, 10:20] = 1
    canvas = sample((20, 30), [], 1, masks=np.zeros((0, 20, 30), np.uint8))
    out = paste(canvas, sample((40, 60), [[10, 10, 30, 30]], 2, masks=mask))
    expected = np.full((20, 30, 3), 1)
    expected[5:10, 5:10] = 2
    np.testing.assert_array_equal(out["img"], expected)
    np.testing.assert_array_equal(out["gt_bboxes"], [[5, 5, 15, 15]])
    assert "gt_masks" not in out and out["mask_fields"] == []


def test_selected_objects_are_part_of_the_partner():
    transform = PIPELINES.build(dict(type="CrossDomainCopyPaste", selected=True))
    boxes = [[1, 1, 9, 9], [11, 1, 19, 9], [21, 1, 29, 9]]
    np.random.seed(0)
    counts = set()
    for _ in range(40):
        out = transform({**sample((20, 30), [], 1), "mix_results": [sample((20, 30), boxes, 2)]})
        assert {tuple(box) for box in out["gt_bboxes"].tolist()} <= {tuple(map(float, box)) for box in boxes}
        counts.add(len(out["gt_bboxes"]))
    assert counts == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("size_hw", "expected_hw"),
    [
        *[((640, 480), (128, 96)), ((100, 1000), (32, 320)), ((64, 160), (128, 320))],
        *[((1000, 3), (128, 1)), ((1, 5000), (1, 320)), ((3, 20_000), (1, 320)), ((30_000, 1), (128, 1))],
    ],
)
def test_an_image_of_any_shape_fits_the_frame(size_hw, expected_hw):
    frame_hw = (128, 320)
    canvas = sample(size_hw, [[0, 0, size_hw[1], size_hw[0]]], 1)
    transform = PIPELINES.build(dict(type="FitResize", img_scale=frame_hw))
    out = transform({**canvas, "img_shape": canvas["img"].shape, "bbox_fields": ["gt_bboxes"]})
    assert out["img"].shape[:2] == expected_hw
    np.testing.assert_allclose(out["gt_bboxes"], [[0, 0, expected_hw[1], expected_hw[0]]], rtol=1e-6)
    np.testing.assert_allclose(out["scale_factor"][:2] * size_hw[::-1], expected_hw[::-1], rtol=1e-6)


def random_sample(rng, size_hw, num_boxes, label) -> dict:
    """Boxes of every size, some sticking to the border, some on whole pixels, some thinner than a pixel."""
    limits = np.array([size_hw[1], size_hw[0]] * 2)
    corner = rng.uniform(-0.1, 1, (num_boxes, 2))
    boxes = np.concatenate([corner, corner + rng.choice([0.01, 0.1, 0.6], (num_boxes, 2))], axis=1)
    boxes = np.clip(boxes, 0, 1) * limits
    boxes[::2] = boxes[::2].round()
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    results = sample(size_hw, boxes, label)
    return {**results, "img": rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)}


@pytest.mark.parametrize("selected", [True, False])
@pytest.mark.parametrize("partner_hw", [(40, 60), (100, 90)])
def test_box_arithmetic_equals_a_mask_a_box(selected, partner_hw):
    rng = np.random.default_rng(0)
    thresholds = dict(bbox_occluded_thr=3, mask_occluded_thr=30, selected=selected)
    dropped = 0
    for seed in range(300):
        canvas = random_sample(rng, (40, 60), rng.integers(0, 12), 1)
        partner = random_sample(rng, partner_hw, rng.integers(0, 20), 2)
        found = []
        for transform in (MaskPerBox(**thresholds), CrossDomainCopyPaste(**thresholds)):
            np.random.seed(seed)
            before = canvas["img"].copy()
            out = transform({**canvas, "mix_results": [dict(partner)]})
            np.testing.assert_array_equal(canvas["img"], before)
            # Boxes of no area, which masks leave of some that are hidden altogether, every pipeline filters next.
            sized = (out["gt_bboxes"][:, 2:] > out["gt_bboxes"][:, :2]).all(axis=1)
            found.append((out["img"], out["gt_bboxes"][sized], out["gt_labels"][sized], out["img"].dtype))
        for by_mask, by_box in zip(*found, strict=True):
            np.testing.assert_array_equal(by_box, by_mask)
        dropped += len(canvas["gt_labels"]) - (found[1][2] == 1).sum()
    assert dropped > 20  # the thresholds were put to use


def test_one_side_with_instance_masks():
    mask = np.zeros((1, 20, 30), dtype=np.uint8)
    mask[0, 5:10, 5:10] = 1
    out = paste(sample((20, 30), [[5, 5, 15, 10]], 1), sample((20, 30), [[5, 5, 10, 10]], 2, masks=mask))
    np.testing.assert_array_equal(out["gt_bboxes"], [[10, 5, 15, 10], [5, 5, 10, 10]])
