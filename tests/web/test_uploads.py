"""Pictures that are sent: read as files of the disk are, or refused in one line. All input is harmless."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from ms2a.datasets.load_picture import read_picture
from ms2a.errors import UserError
from ms2a.web.uploads import NoPicture, TooLarge, check_bytes, decode

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def saved(form, image=NOISE, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_pictures_are_read_as_files_are(form, tmp_path):
    data = saved(form)
    (tmp_path / "picture").write_bytes(data)
    assert np.array_equal(decode(data), read_picture(tmp_path / "picture"))


def test_rotation_tags_grey_and_16_bits_are_read_as_in_files(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
    for number, (data, bit_depth) in enumerate(
        [
            (saved("JPEG", exif=exif), None),
            (saved("PNG", NOISE[..., 0]), None),
            (saved("PNG", deep), None),
            (saved("PNG", deep), 12),
        ]
    ):
        (tmp_path / "picture").write_bytes(data)
        assert np.array_equal(decode(data, bit_depth), read_picture(tmp_path / "picture", bit_depth)), number
    assert decode(saved("JPEG", exif=exif)).shape == (60, 40, 3)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4", saved("GIF")]
)
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(NoPicture, match="this is no picture: expected JPEG, PNG"):
        decode(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_truncated_pictures_are_refused(form):
    data = saved(form)
    with pytest.raises(UserError):
        decode(data[: len(data) * 2 // 3])


def header_only(width, height):
    """A PNG whose header states a size, with next to no data behind it."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(7000, 7000), (60_000, 60_000)])
def test_pictures_of_too_many_pixels_are_refused_by_their_header(size, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(TooLarge, match="at most 40 million"):
        decode(header_only(*size))
    with pytest.raises(TooLarge, match="60x40 pixels"):
        decode(saved("PNG"), max_pixels=2399)


def test_a_limit_of_bytes_is_inclusive():
    check_bytes(100, 100)
    with pytest.raises(TooLarge, match="larger than 0 MB"):
        check_bytes(101, 100)
