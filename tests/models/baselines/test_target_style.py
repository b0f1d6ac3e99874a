import cv2
import numpy as np
import pytest

from ms2a.errors import UserError
from ms2a.models.baselines import TargetStyle


@pytest.fixture
def target(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(0, 40, (32, 48, 3), dtype=np.uint8))
    return tmp_path


@pytest.fixture
def bright():
    return np.random.default_rng(1).integers(150, 250, (40, 64, 3), dtype=np.uint8)


def test_histogram_matching_takes_the_targets_colours_and_keeps_the_shape(target, bright):
    np.random.seed(0)
    style = TargetStyle(str(target), methods=["HistogramMatching"], prob=1.0)
    found = style(dict(img=bright, gt_bboxes="kept"))
    assert found["gt_bboxes"] == "kept"
    assert found["img"].shape == bright.shape and found["img"].dtype == np.uint8
    # Albumentations blends with a share of the original.
    assert found["img"].mean() < bright.mean() - 60


def test_fourier_adaptation_changes_the_image_too(target, bright):
    np.random.seed(0)
    style = TargetStyle(str(target), methods=["FDA"], prob=1.0)
    assert not np.array_equal(style(dict(img=bright))["img"], bright)


def test_the_same_seed_gives_the_same_images(target, bright):
    style = TargetStyle(str(target), prob=1.0)
    found = []
    for _ in range(2):
        np.random.seed(3)
        found.append([style(dict(img=bright))["img"] for _ in range(4)])
    assert all(map(np.array_equal, *found))


def test_the_share_of_restyled_images(target, bright):
    np.random.seed(0)
    style = TargetStyle(str(target), methods=["HistogramMatching"], prob=0.25)
    changed = [style(dict(img=bright))["img"] is not bright for _ in range(200)]
    assert 0.15 < np.mean(changed) < 0.35


def test_unreadable_images_are_left_out(target, bright):
    for number in range(2):
        (target / f"{number}.png").write_bytes(b"cut")
    style = TargetStyle(str(target), methods=["HistogramMatching"], prob=1.0)
    np.random.seed(0)
    assert all(style(dict(img=bright))["img"].mean() < bright.mean() for _ in range(5))
    (target / "2.png").write_bytes(b"cut")
    with pytest.raises(UserError, match="none of its images can be read"):
        TargetStyle(str(target), prob=1.0)(dict(img=bright))


def test_an_unknown_method_is_refused(target):
    with pytest.raises(UserError, match="expected some of HistogramMatching, FDA"):
        TargetStyle(str(target), methods=["CycleGAN"])
