import json
import shutil

import cv2
import numpy as np
import pytest
from mmdet.datasets import build_dataset

from ms2a.datasets.image_folder import ImageFolderDataset, find_images
from ms2a.errors import UserError

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", img_scale=(32, 32), keep_ratio=False),
    dict(type="DefaultFormatBundle"),
    dict(type="Collect", keys=["img"], meta_keys=("filename", "ori_filename", "ori_shape", "domain")),
]


def _picture(path, height=20, width=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


@pytest.fixture
def folder(tmp_path):
    for name in ("b.JPG", "a.png", "deep/er/c.jpeg", "d.bmp", "e.Tif", "f.tiff", "deep/g.webp"):
        _picture(tmp_path / "img" / name)
    return tmp_path / "img"


def test_every_image_type_in_any_case_at_any_depth(folder):
    (folder / "notes.txt").write_text("no image")
    _picture(folder / ".thumbnails" / "t.png")
    (folder / "._b.jpg").write_bytes(b"resource fork")
    names = [name for _, name in find_images(folder)]
    assert names == ["a.png", "b.JPG", "d.bmp", "deep/er/c.jpeg", "deep/g.webp", "e.Tif", "f.tiff"]


def test_links_to_folders_are_followed_but_not_in_circles(folder, tmp_path):
    _picture(tmp_path / "elsewhere" / "x.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "deep" / "up").symlink_to(folder)
    names = [name for _, name in find_images(folder)]
    assert "linked/x.png" in names
    assert len(names) == 8


def test_every_image_type_loads_through_the_pipeline(folder):
    dataset = build_dataset(dict(type="ImageFolderDataset", img=str(folder), pipeline=PIPELINE, domain="fog"))
    assert len(dataset) == 7
    for index, name in enumerate(dataset.names):
        result = dataset[index]
        assert tuple(result["img"].data.shape) == (3, 32, 32)
        meta = result["img_metas"].data
        assert dict(ImageFolderDataset(folder, PIPELINE)[index]["img_metas"].data)["domain"] is None
        assert (meta["ori_filename"], meta["domain"], meta["ori_shape"]) == (name, "fog", (20, 30, 3))


def test_coco_json_needs_file_names_only(folder, tmp_path):
    path = tmp_path / "list.json"
    path.write_text(
        json.dumps(dict(images=[dict(file_name="d.bmp"), dict(file_name="a.png"), dict(file_name="d.bmp")]))
    )
    assert find_images(path, folder) == [(str(folder), "a.png"), (str(folder), "d.bmp")]
    shutil.copy(path, folder / "list.json")
    assert find_images(folder / "list.json") == find_images(path, folder)


def test_several_sources_and_single_files(folder):
    single = folder / "deep" / "g.webp"
    dataset = ImageFolderDataset([single, folder / "deep", single], PIPELINE)
    assert dataset.names == ["g.webp", "er/c.jpeg"]
    assert dataset.path(0) == str(single)


def test_names_do_not_depend_on_where_the_folder_lies(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    moved = ImageFolderDataset(tmp_path / "moved", PIPELINE)
    assert moved.names == ImageFolderDataset(folder, PIPELINE).names


def test_images_that_cannot_be_read_or_used_are_none_and_the_reason_is_told(folder):
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:40])
    (folder / "b.JPG").write_bytes(b"")
    dataset = ImageFolderDataset(folder, PIPELINE)
    (folder / "d.bmp").unlink()
    assert [dataset[index] is None for index in range(7)] == [True, True, True, False, False, False, False]
    wrong = ImageFolderDataset(folder, [PIPELINE[0], dict(type="Collect", keys=["gt_bboxes"], meta_keys=())])
    assert wrong[3] is None and wrong[0] is None
    assert wrong.told(3) == f"{wrong.path(3)} (KeyError: 'gt_bboxes')" and wrong.told(0) == wrong.path(0)


def test_what_is_not_there_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")
    for name, message in (
        ("empty", r"no image in folder .*empty; expected files ending in \.jpg"),
        ("none", "none does not exist"),
        ("notes.txt", "not a folder, a COCO json or an image"),
    ):
        with pytest.raises(UserError, match=message):
            find_images(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [{"file_na', "not valid JSON"),
        ("[]", "not in COCO form"),
        ('{"images": [{"file_name": null}]}', "not in COCO form"),
        ('{"images": [{"id": 1}]}', "not in COCO form"),
        ('{"images": []}', "lists no images"),
        ('{"images": [{"file_name": "zz.png"}]}', r"zz\.png .* does not exist.*`img_root`"),
    ],
)
def test_bad_lists_are_told(tmp_path, text, message):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(UserError, match=message):
        find_images(tmp_path / "list.json")


def test_a_folder_inside_can_be_left_out(folder):
    names = [name for _, name in find_images(folder, without=folder / "deep")]
    assert names == [name for _, name in find_images(folder) if not name.startswith("deep/")]
    assert find_images(folder / "deep", without=folder) == find_images(folder / "deep")  # only what lies inside
