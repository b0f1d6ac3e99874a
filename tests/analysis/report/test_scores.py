"""Scores against what pycocotools and a count by hand say."""

import numpy as np
import pytest

from ms2a.analysis.error_analysis import match_detections
from ms2a.analysis.report.scores import count_objects, score


def box(number, image, place, category=1, side=20, **more):
    return dict(
        id=number, image_id=image, category_id=category, bbox=[place, 10, side, side], area=side**2, iscrowd=0, **more
    )


@pytest.fixture
def truth():
    """Two classes, the second of which has large objects; a third without any."""
    images = [dict(id=number, file_name=f"{number}.jpg", width=400, height=300) for number in (1, 2)]
    objects = [box(1, 1, 10), box(2, 1, 60), box(3, 2, 10), box(4, 2, 60), box(5, 2, 120, category=2, side=100)]
    objects.append({**box(6, 1, 200), "iscrowd": 1})
    categories = [dict(id=7 - number, name=name) for number, name in ((6, "nut"), (5, "plate"), (4, "none"))]
    return dict(images=images, annotations=objects, categories=categories)


def test_objects_are_counted_without_what_is_ignored(truth):
    counted = count_objects(truth)
    assert counted.classes == {"nut": 4, "plate": 1, "none": 0}
    assert counted.sizes == {"small": 4, "medium": 0, "large": 1} and counted.images == 2


def test_scores_by_hand(truth):
    """Of four nuts two are found, with a false alarm between: precision 1 to recall 1/4, then 2/3 to 1/2, then 0."""
    found = [
        dict(image_id=1, category_id=1, bbox=[10, 10, 20, 20], score=0.9),
        dict(image_id=1, category_id=1, bbox=[300, 10, 20, 20], score=0.8),
        dict(image_id=2, category_id=1, bbox=[10, 10, 20, 20], score=0.7),
        dict(image_id=2, category_id=2, bbox=[120, 10, 100, 100], score=0.6),
    ]
    scores = score(truth, found)
    nut = 100 * (26 * 1 + 25 * 2 / 3) / 101  # recalls 0, 0.01, …, 0.25 and 0.26, …, 0.50
    assert scores.classes["nut"] == pytest.approx((nut, nut)) and scores.classes["plate"] == pytest.approx((100, 100))
    assert scores.classes["none"] == (None, None) and "none" not in scores.class_curves
    assert scores.map == pytest.approx((nut + 100) / 2) == scores.map50 == scores.map75
    assert scores.sizes == {"small": pytest.approx(nut), "medium": None, "large": pytest.approx(100)}
    assert scores.class_curves["nut"] == pytest.approx(np.repeat([1, 2 / 3, 0], [26, 25, 50]))
    assert scores.curves[0.5] == pytest.approx((scores.class_curves["nut"] + 1) / 2)
    assert scores.errors["background"] > 0 and scores.errors["missed object"] > scores.errors["background"]


def test_overlap_decides_at_which_iou_a_box_counts(truth):
    """Shifted by 3 of 20 pixels: IoU 17/23 = 0.74, right at 0.50 to 0.70 and wrong above."""
    found = [
        dict(image_id=item["image_id"], category_id=item["category_id"], score=0.9) for item in truth["annotations"]
    ]
    for item, own in zip(found, truth["annotations"], strict=True):
        x, y, width, height = own["bbox"]
        item["bbox"] = [x + 0.15 * width, y, width, height]
    scores = score(truth, found[:5])
    assert scores.map50 == pytest.approx(100) and scores.map75 == 0 and scores.map == pytest.approx(50)
    assert scores.curves[0.75].max() == 0 and scores.curves[0.5] == pytest.approx(1)


def test_nothing_found_scores_nothing_where_there_is_something(truth):
    scores = score(truth, [])
    assert (scores.map, scores.map50, scores.errors) == (0, 0, {})
    assert scores.sizes == {"small": 0, "medium": None, "large": 0}
    assert scores.classes == {"nut": (0, 0), "plate": (0, 0), "none": (None, None)}


def test_no_objects_at_all_have_no_score(truth, recwarn):
    truth["annotations"] = []
    for found in ([], [dict(image_id=1, category_id=1, bbox=[10, 10, 20, 20], score=0.9)]):
        scores = score(truth, found)
        assert scores.map is None and scores.map50 is None and scores.errors == {} and not scores.class_curves
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]


def test_what_is_matched_above_a_score_does_not_depend_on_what_is_below(truth):
    rng = np.random.default_rng(0)
    found = [
        dict(
            image_id=int(rng.integers(1, 3)),
            category_id=1,
            bbox=[float(rng.integers(0, 80)), 10.0, 20.0, 20.0],
            score=float(value),
        )
        for value in rng.permutation(60) / 60
    ]
    whole = match_detections(truth["annotations"], found)
    assert {kind for kind, _ in whole} == {"found", "duplicate", "loose box", "background"}
    above = [index for index, item in enumerate(found) if item["score"] >= 0.5]
    assert [whole[index] for index in above] == match_detections(truth["annotations"], [found[i] for i in above])
