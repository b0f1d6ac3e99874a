"""Headers against what the decoder makes of the same files."""

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from ms2a.datasets.check.headers import Header, read_header, upright_box

WHITE_XYWH = (60, 10, 30, 20)
STORED_WH = (96, 64)


def write_turned(path, orientation, size_wh=STORED_WH):
    pixels = np.zeros((*size_wh[::-1], 3), np.uint8)
    x, y, width, height = WHITE_XYWH
    pixels[y : y + height, x : x + width] = 255
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[274] = orientation
    options = {"tiffinfo": {274: orientation}} if path.suffix == ".tif" else {"exif": exif, "lossless": True}
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_and_boxes_are_those_of_the_decoded_picture(tmp_path, suffix, orientation):
    path = write_turned(tmp_path / f"a{suffix}", orientation)
    header = read_header(path)
    assert header == Header(STORED_WH, orientation, 8, False)
    decoded = mmcv.imread(str(path))
    assert header.size_wh == decoded.shape[1::-1]
    rows, columns = np.nonzero(decoded[..., 0] > 128)
    left, top = columns.min(), rows.min()
    white = [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
    assert upright_box(WHITE_XYWH, STORED_WH, orientation) == white


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".bmp", ".tif", ".webp"])
def test_files_of_opencv(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.zeros((5, 7, 3), np.uint8))
    assert read_header(path) == Header((7, 5), 1, 8, False)


@pytest.mark.parametrize(
    ("name", "pixels", "bits", "is_float"),
    [
        ("a.png", np.zeros((5, 7), np.uint16), 16, False),
        ("a.png", np.zeros((5, 7, 3), np.uint16), 16, False),
        ("a.tif", np.zeros((5, 7, 3), np.uint16), 16, False),
        ("a.tif", np.zeros((5, 7), np.int32), 32, False),
        ("a.tif", np.zeros((5, 7, 3), np.float32), 32, True),
    ],
)
def test_bits_of_a_sample(tmp_path, name, pixels, bits, is_float):
    cv2.imwrite(str(tmp_path / name), pixels)
    assert read_header(tmp_path / name) == Header((7, 5), 1, bits, is_float)


@pytest.mark.parametrize("content", [b"", b"no picture", b"II*\0\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\n", b"II*\0"])
def test_what_is_no_picture_has_no_header(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_header(tmp_path / "a.jpg") is None
    assert read_header(tmp_path / "b.jpg") is None


def test_a_picture_of_any_size_has_a_header(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((50, 70, 3), np.uint8))
    assert read_header(tmp_path / "a.png").size_wh == (70, 50)
    assert Image.MAX_IMAGE_PIXELS == 10
