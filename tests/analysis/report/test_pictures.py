"""Which pictures are shown, what is said of their boxes, and how large their files are."""

import base64

import cv2
import numpy as np
import pytest

from ms2a.analysis.error_analysis import KINDS
from ms2a.analysis.report.pictures import choose_pictures, describe_boxes, encode, encode_files, gain


def test_all_pictures_are_shown_where_there_is_room():
    assert choose_pictures([0.0] * 7, count=7) == list(range(7))


def test_of_many_pictures_those_that_changed_most_are_among_the_shown():
    gains = [0.0] * 1000
    for index in (3, 500, 998):
        gains[index] = 1.0
    gains[77] = -1.0
    chosen = choose_pictures(gains, count=64)
    assert len(chosen) == len(set(chosen)) == 64 and chosen == sorted(chosen)
    assert {3, 500, 998, 77} <= set(chosen)
    # The others are spread: no tenth of the set is without one.
    assert all(any(start <= index < start + 100 for index in chosen) for start in range(0, 1000, 100))


@pytest.fixture
def truth():
    images = [dict(id=number, file_name=f"{number}.jpg", width=100, height=50) for number in (4, 9)]
    annotations = [
        dict(id=31, image_id=4, category_id=2, bbox=[10, 10, 20, 20], area=400, iscrowd=0),
        dict(id=30, image_id=4, category_id=5, bbox=[60, 10, 20, 20], area=400, iscrowd=0),
        dict(id=29, image_id=4, category_id=5, bbox=[0, 0, 5.04, 5], area=25, iscrowd=1),
    ]
    return dict(images=images, annotations=annotations, categories=[dict(id=5, name="b"), dict(id=2, name="a")])


def test_boxes_say_what_they_are_and_what_they_find(truth):
    def found(category, x, score):
        return dict(image_id=4, category_id=category, bbox=[x, 10, 20, 20], score=score)

    run = [found(2, 10, 0.4), found(5, 60, 0.9), found(5, 61, 0.8), found(5, 72, 0.7), found(2, 62, 0.6)]
    four, nine = describe_boxes(truth, {"after": [*run, found(2, 10, 0.04)], "before": []})
    assert four["truth"] == [[10, 10, 20, 20, 1, 0], [60, 10, 20, 20, 0, 0], [0, 0, 5, 5, 0, 1]]
    kinds = ["found" if row[6] < 0 else KINDS[row[6]] for row in four["runs"]["after"]]
    assert kinds == ["found", "duplicate", "loose box", "background", "found"]  # by falling score, none below 0.05
    assert [row[7] for row in four["runs"]["after"]] == [1, -1, -1, -1, 0]
    assert four["runs"]["before"] == [] and nine == {"truth": [], "runs": {"after": [], "before": []}}
    # Two of two objects, three boxes too many: F1 4/7; at 0.85 one box that is right: 2/3.
    assert gain(four, "before", "after", 0.3) == pytest.approx(4 / 7)
    assert gain(four, "before", "after", 0.85) == pytest.approx(2 / 3)
    assert gain(nine, "before", "after", 0.3) == 0  # nothing there, nothing found


def decoded(address):
    head, data = address.split(",")
    assert head == "data:image/webp;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED), len(data) * 3 // 4


def test_a_picture_becomes_as_small_as_it_must_and_stays_the_picture():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1800, 3), dtype=np.uint8)
    smooth = cv2.resize(noise[:9, :18], (1800, 900), interpolation=cv2.INTER_CUBIC)
    for limit in (10**6, 20_000, 4_000):
        image, size = decoded(encode(smooth, limit)[0])
        assert size <= limit + 3 and image.shape[1] == 720 if limit == 10**6 else size <= limit + 3
        assert image.shape[0] == pytest.approx(image.shape[1] / 2, abs=1)
        expected = cv2.resize(smooth, image.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(image.astype(float) - expected).mean() < 6
    assert decoded(encode(noise, 10)[0])[0].shape[1] in range(48, 97)  # it ends, whatever the limit
    assert decoded(encode(np.dstack([noise, noise[..., 0]])[:64, :64], 10**5)[0])[0].shape == (64, 64, 4)


def test_files_that_cannot_be_read_are_told_from_others(tmp_path):
    cv2.imwrite(str(tmp_path / "good.png"), np.full((30, 40, 3), 99, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    good, bad, none = encode_files([tmp_path / name for name in ("good.png", "bad.png", "none.png")], 3)
    assert good["size"] == [40, 30] and bad is None and none is None
