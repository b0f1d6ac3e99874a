"""Files of drawn pictures: their names and their formats."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from ms2a.analysis.pictures import FreeNames, picture_name, write_picture
from ms2a.errors import UserError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "a.png"),
        ("deep/er/a.JPG", "deep/er/a.JPG"),
        ("../../a.png", "a.png"),
        ("/abs/../a.png", "abs/a.png"),
        ("a.jfif", "a.jfif.png"),
        ("a", "a.png"),
        ("a.b.c", "a.b.c.png"),
        ("..", ".png"),
        ("", ".png"),
        ("detections.json", "detections.json.png"),
    ],
)
def test_names_stay_inside_and_have_an_ending_that_is_written(name, expected):
    assert picture_name(None, name) == Path(expected)
    assert picture_name("night", name) == Path("night", expected)


@pytest.mark.parametrize("letter", ["a", "ä", "部", "\udcff"])
def test_long_names_are_shortened_and_stay_different(tmp_path, letter):
    names = FreeNames()
    first, second = (names.free(None, f"{letter * 500}/{letter * 250}{number}.png") for number in (1, 2))
    assert first != second and first.suffix == ".png"
    for name in (first, second, names.free(None, f"{letter * 250}1.png")):
        assert write_picture(np.zeros((2, 2, 3), np.uint8), tmp_path / name).is_file()
        assert all(len(os.fsencode(part)) <= 200 for part in name.parts)


def test_pictures_of_one_name_are_numbered():
    names = FreeNames()
    found = [str(names.free("d", name)) for name in ("a.png", "../a.png", "a.jfif", "a.jfif.png", "b/a.png")]
    assert found == ["d/a.png", "d/a_2.png", "d/a.jfif.png", "d/a.jfif_2.png", "d/b/a.png"]


def test_a_format_that_holds_no_such_picture_gives_way_to_png(tmp_path):
    wide = np.zeros((2, 20_000, 3), np.uint8)  # WebP ends at 16,383
    path = write_picture(wide, tmp_path / "a.webp")
    assert path.name == "a.webp.png" and cv2.imread(str(path)).shape == wide.shape
    assert [file.name for file in tmp_path.iterdir()] == ["a.webp.png"]
    with pytest.raises(UserError, match="no format holds a picture of 0 x 2"):
        write_picture(wide[:, :0], tmp_path / "b.png")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp"])
def test_writing_a_picture_is_quiet(tmp_path, ending, capfd):
    path = write_picture(np.full((20, 30, 3), 90, np.uint8), tmp_path / f"a{ending}", jpeg_quality=40)
    assert cv2.imread(str(path)).shape == (20, 30, 3) and capfd.readouterr() == ("", "")
