"""Pictures of 8 and 16 bits, read alike by transforms and drawings."""

import json

import cv2
import mmcv
import numpy as np
import pytest
from mmdet.datasets import build_dataset
from mmdet.datasets.pipelines import LoadImageFromFile
from PIL import Image

from ms2a.datasets.load_picture import LoadPicture, read_picture, to_8_bits
from ms2a.errors import UserError


def load(path, bit_depth):
    results = dict(img_prefix=str(path.parent), img_info=dict(filename=path.name))
    return LoadPicture(bit_depth)(results)["img"]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("bit_depth", [10, 12])
def test_significant_bits_fill_the_range(tmp_path, suffix, channels, bit_depth):
    path = tmp_path / f"a{suffix}"
    values = np.random.default_rng(0).integers(0, 2**bit_depth, (16, 24, *channels)).astype(np.uint16)
    cv2.imwrite(str(path), values)
    expected = np.broadcast_to((values // 2 ** (bit_depth - 8)).reshape(16, 24, -1), (16, 24, 3))
    for image in (read_picture(path, bit_depth), load(path, bit_depth)):
        assert image.dtype == np.uint8 and image.max() > 250
        np.testing.assert_array_equal(image, expected)
    assert read_picture(path).max() <= 2 ** (bit_depth - 8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("bit_depth", [None, 12])
def test_pictures_of_8_bits_are_what_mmdet_reads(tmp_path, suffix, bit_depth):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (16, 24, 3)).astype(np.uint8))
    stock = LoadImageFromFile()(dict(img_prefix=str(tmp_path), img_info=dict(filename=path.name)))["img"]
    for image in (read_picture(path, bit_depth), load(path, bit_depth)):
        np.testing.assert_array_equal(image, stock)


def test_a_rotation_tag_turns_deep_pictures_too(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.full((16, 24), 1023, np.uint16)).save(tmp_path / "a.png", exif=exif)
    assert read_picture(tmp_path / "a.png", 10).shape == mmcv.imread(str(tmp_path / "a.png")).shape == (24, 16, 3)


def test_values_above_the_stated_bits_are_white():
    assert to_8_bits(np.array([1023, 1024, 65535], np.uint16), 10).tolist() == [255, 255, 255]


def test_mistakes_are_told():
    for bit_depth in (7, 17, 10.0, "10", True):
        with pytest.raises(UserError, match="expected a whole number from 8 to 16"):
            LoadPicture(bit_depth)
    with pytest.raises(UserError, match="float32, expected 8 or 16 bits"):
        to_8_bits(np.zeros(3, np.float32), 10)


@pytest.mark.parametrize("flag", ["iscrowd", "ignore"])
def test_a_region_to_be_ignored_is_hidden_in_training_only(tmp_path, flag):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 60, 3), 200, np.uint8))
    annotations = [dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 30, 20]) | {flag: 1}]
    annotations.append(dict(id=2, image_id=1, category_id=1, bbox=[20, 10, 20, 20]))
    images = [dict(id=1, file_name="a.png", width=60, height=40)]
    coco = dict(images=images, annotations=annotations, categories=[dict(id=1, name="part")])
    (tmp_path / "a.json").write_text(json.dumps(coco))
    common = dict(type="DomainCocoDataset", ann_file=str(tmp_path / "a.json"), img_prefix=str(tmp_path))
    common |= dict(classes=("part",), domain="d")
    load = [dict(type="LoadPicture"), dict(type="LoadAnnotations", with_bbox=True)]
    trained = build_dataset(dict(common, pipeline=load))[0]
    hidden = trained["img"][..., 0] == 114
    expected = np.zeros((40, 60), bool)
    expected[:20, :30] = True
    expected[10:, 20:40] = False
    np.testing.assert_array_equal(hidden, expected)
    np.testing.assert_array_equal(trained["gt_bboxes"], [[20, 10, 40, 30]])
    test_set = build_dataset(dict(common, pipeline=load[:1], test_mode=True))
    assert (test_set[0]["img"] == 200).all()
    found = np.array([[20, 10, 40, 30, 0.9], [0, 0, 30, 20, 0.95]], np.float32)  # what lies in the region costs nothing
    assert test_set.evaluate([[found]])["bbox_mAP"] == 1.0
