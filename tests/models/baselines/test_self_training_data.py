import json
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import build_dataset

from ms2a.errors import UserError
from tests.tiny import META_KEYS, make_domains

LOAD = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
FINISH = [dict(type="DefaultFormatBundle"), dict(type="Collect", keys=["img"], meta_keys=META_KEYS)]


@pytest.fixture
def config(tmp_path):
    make_domains(tmp_path)
    child = {
        domain: dict(
            type="DomainCocoDataset",
            domain=domain,
            ann_file=str(tmp_path / domain / "annotations.json"),
            img_prefix=str(tmp_path / domain / "images"),
            classes=("part",),
            pipeline=LOAD,
        )
        for domain in ("day", "night")
    }
    return dict(
        type="SelfTrainingDataset",
        domains=[dict(dataset=child["day"]), dict(dataset=child["night"])],
        pipeline=[
            dict(type="RandomFlip", flip_ratio=0.5),
            dict(type="DefaultFormatBundle"),
            dict(type="Collect", keys=["img", "gt_bboxes", "gt_labels"], meta_keys=META_KEYS),
        ],
        unlabelled=dict(img=str(tmp_path / "night" / "images"), domain="night"),
        geometry=[dict(type="LoadImageFromFile"), dict(type="RandomFlip", flip_ratio=0.5)],
        distortion=[],
        finish=FINISH,
    )


def view(item, name):
    return item[f"unlabelled_{name}"].data.numpy()


def test_the_two_views_share_their_geometry(config):
    dataset = build_dataset(config)
    np.random.seed(0)
    items = [dataset[index % len(dataset)] for index in range(12)]
    assert all(np.array_equal(view(item, "weak"), view(item, "strong")) for item in items)
    metas = [item["unlabelled_metas"].data for item in items]
    assert {meta["flip"] for meta in metas} == {True, False}
    assert {meta["domain"] for meta in metas} == {"night"}
    assert len({meta["filename"] for meta in metas}) > 1
    assert "gt_bboxes" in items[0]
    coco = json.loads(Path(config["domains"][1]["dataset"]["ann_file"]).read_text())
    assert {meta["objects_per_image"] for meta in metas} == {(len(coco["annotations"]) / len(coco["images"]),)}


def test_only_the_strong_view_is_distorted(config):
    plain = build_dataset(config)
    dataset = build_dataset({**config, "distortion": [dict(type="CutOut", n_holes=3, cutout_ratio=(0.5, 0.5))]})
    np.random.seed(1)
    item = dataset[0]
    assert (view(item, "strong") == 0).mean() > 0.2 > (view(item, "weak") == 0).mean()
    np.random.seed(1)
    assert np.array_equal(view(plain[0], "weak"), view(item, "weak"))


def test_an_unreadable_image_gives_way_to_another(config, tmp_path):
    images = sorted((tmp_path / "night" / "images").iterdir())
    dataset = build_dataset(config)
    for path in images[1:]:
        path.write_bytes(b"no image")
    names = {dataset[0]["unlabelled_metas"].data["filename"] for _ in range(6)}
    assert names == {str(images[0])}
    images[0].write_bytes(b"no image")
    with pytest.raises(UserError, match="none of the 4 unlabelled images can be read"):
        dataset._draw()


def test_mixing_is_switched_off_as_in_the_parent(config):
    config["pipeline"].insert(0, dict(type="CrossDomainCopyPaste"))
    dataset = build_dataset(config)
    dataset.update_skip_type_keys(["CrossDomainCopyPaste"])
    assert "unlabelled_weak" in dataset[0]
