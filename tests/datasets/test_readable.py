import cv2
import numpy as np
import pytest

from ms2a.datasets.load_picture import read_picture
from ms2a.datasets.readable import SkippedImages, check_skipped, is_readable, skip_unreadable
from ms2a.errors import UserError


def test_what_can_be_read(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 5, 3), 7, np.uint8))
    (tmp_path / "b.png").write_bytes(b"no image")
    for bit_depth in (None, 12):
        assert read_picture(tmp_path / "a.png", bit_depth).shape == (4, 5, 3)
    assert [is_readable(tmp_path / name) for name in ("a.png", "b.png", "c.png", ".")] == [True, False, False, False]
    with pytest.raises(UserError, match=r"image .*b\.png is missing or unreadable"):
        read_picture(tmp_path / "b.png")


def test_skipping_is_told_or_refused(capsys):
    skip_unreadable("a.png", strict=False)
    assert capsys.readouterr().err == "warning: skipped unreadable image a.png\n"
    with pytest.raises(UserError, match=r"image a\.png is missing or unreadable \(`strict=True`\)"):
        skip_unreadable("a.png", strict=True)


def test_the_end_of_a_pass_counts(capsys):
    check_skipped([], 3, "here")
    assert not capsys.readouterr().err
    check_skipped(["a.png"], 3, "here")
    assert "skipped 1 of 3 images" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"none of the 1 images of here can be read, the first is a\.png"):
        check_skipped(["a.png"], 1, "here")


def test_a_skipped_image_is_told_once(caplog):
    skipped = SkippedImages(5)
    for index in (3, 0, 3):
        skipped.skip(index, f"{index}.png")
    assert caplog.messages == [
        "skipped unreadable image 3.png (1 so far)",
        "skipped unreadable image 0.png (2 so far)",
    ]
    with pytest.raises(UserError, match="missing or unreadable"):
        skipped.skip(3, "3.png", strict=True)
