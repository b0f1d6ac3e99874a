import json

import numpy as np
import pytest
from mmdet.datasets import build_dataloader, build_dataset
from mmdet.datasets.samplers import GroupSampler

from ms2a.errors import UserError
from tests.tiny import make_coco

CLASSES = ("nut", "bolt")
LOAD = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
MIX = [dict(type="CrossDomainCopyPaste", selected=False), dict(type="SameDomainMosaic", img_scale=(64, 64))]
META_KEYS = ("filename", "img_shape", "domain")
FULL = [
    *MIX,
    dict(type="RandomAffine", scaling_ratio_range=(0.5, 2), border=(-32, -32)),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomFlip", flip_ratio=0.5),
    dict(type="Resize", img_scale=(64, 64), keep_ratio=True),
    dict(type="Pad", size=(64, 64), pad_val=dict(img=(114.0, 114.0, 114.0))),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
    dict(type="DefaultFormatBundle"),
    dict(type="Collect", keys=["img", "gt_bboxes", "gt_labels"], meta_keys=META_KEYS),
]
OFF = ["CrossDomainCopyPaste", "SameDomainMosaic", "RandomAffine", "MixUp"]


@pytest.fixture
def config(tmp_path):
    """Five wide 'sun' images once and two high 'fog' images three times."""
    domains = []
    for domain, n_images, size_hw, times in (("sun", 5, (48, 80), 1), ("fog", 2, (64, 40), 3)):
        ann_file = make_coco(tmp_path / domain, n_images=n_images, size_hw=size_hw, classes=CLASSES, seed=times)
        child = dict(
            type="DomainCocoDataset", domain=domain, ann_file=str(ann_file), img_prefix=str(ann_file.parent / "images")
        )
        child.update(classes=CLASSES, pipeline=LOAD, filter_empty_gt=False)
        domains.append(dict(dataset=child, times=times))
    return dict(type="CrossDomainMixDataset", domains=domains, pipeline=MIX)


def remove_boxes(config, which) -> None:
    ann_file = config["domains"][which]["dataset"]["ann_file"]
    with open(ann_file) as file:
        coco = json.load(file)
    with open(ann_file, "w") as file:
        json.dump({**coco, "annotations": []}, file)


def spy(dataset) -> list:
    """Records (domain of the canvas, transform, domains of its partners) of everything that is drawn."""
    seen = []
    for transform in dataset.pipeline:
        if hasattr(transform, "get_indexes"):

            def get_indexes(pool, transform=transform, inner=transform.get_indexes):
                indexes = inner(pool)
                partners = [pool[index]["domain"] for index in np.atleast_1d(indexes)]
                seen.append((pool.drawn, type(transform).__name__, partners))
                return indexes

            transform.get_indexes = get_indexes
    return seen


def test_repeats_length_and_flag(config):
    dataset = build_dataset(config)
    assert len(dataset) == 5 + 2 * 3
    assert dataset.flag.tolist() == [1] * 5 + [0] * 6
    domains = [dataset.dataset[index]["domain"] for index in range(len(dataset))]
    assert domains == ["sun"] * 5 + ["fog"] * 6
    assert sorted(GroupSampler(dataset, 1)) == list(range(11))


def test_partners_come_from_the_right_domain(config):
    dataset = build_dataset(config)
    seen = spy(dataset)
    for index in range(len(dataset)):
        canvas = "sun" if index < 5 else "fog"
        other = "fog" if index < 5 else "sun"
        assert dataset[index]["domain"] == canvas
        assert seen[-2:] == [
            (canvas, "CrossDomainCopyPaste", [other]),
            (canvas, "SameDomainMosaic", [canvas] * 3),
        ]


def test_indexes_cover_their_domain_and_never_leave_the_data_set(config):
    dataset = build_dataset(config)
    paste, mosaic = dataset.pipeline
    pool = dataset.dataset
    np.random.seed(0)
    for drawn, own, other in ((0, range(5), range(5, 11)), (10, range(5, 11), range(5))):
        pool.draw(drawn)
        assert {paste.get_indexes(pool) for _ in range(300)} == set(other)
        assert {index for _ in range(200) for index in mosaic.get_indexes(pool)} == set(own)


def test_three_domains(config, tmp_path):
    third = make_coco(tmp_path / "night", n_images=3, classes=CLASSES)
    child = {**config["domains"][0]["dataset"], "domain": "night", "ann_file": str(third)}
    config["domains"].append(dict(dataset={**child, "img_prefix": str(third.parent / "images")}))
    dataset = build_dataset(config)
    assert len(dataset) == 14
    seen = spy(dataset)
    for _ in range(10):
        for index in (0, 6, 12):
            dataset[index]
    assert {(canvas, *partners) for canvas, name, partners in seen if name == "CrossDomainCopyPaste"} == {
        (canvas, other) for canvas in ("sun", "fog", "night") for other in ("sun", "fog", "night") if canvas != other
    }


def test_a_domain_of_several_annotation_files(config, tmp_path):
    child = config["domains"][0]["dataset"]
    more = make_coco(tmp_path / "more", n_images=3, classes=CLASSES)
    child["ann_file"] = [child["ann_file"], str(more)]
    child["img_prefix"] = [child["img_prefix"], str(more.parent / "images")]
    dataset = build_dataset(config)
    assert [dataset.dataset[index]["domain"] for index in range(14)] == ["sun"] * 8 + ["fog"] * 6
    assert dataset[7]["domain"] == "sun"


@pytest.mark.parametrize("workers", [0, 1])
def test_skipping_really_switches_the_mixing_off(config, workers):
    config["pipeline"] = FULL
    dataset = build_dataset(config)
    loader = build_dataloader(dataset, samples_per_gpu=1, workers_per_gpu=workers, dist=False)

    def boxes_by_file() -> dict:
        found = {}
        for batch in loader:
            (meta,) = batch["img_metas"].data[0]
            assert meta["domain"] == ("sun" if "/sun/" in meta["filename"] else "fog")
            found.setdefault(meta["filename"], set()).add(len(batch["gt_bboxes"].data[0][0]))
        return found

    mixed = boxes_by_file()
    dataset.update_skip_type_keys(OFF)
    plain = boxes_by_file()
    expected = {}
    for entry in config["domains"]:
        child = build_dataset(entry["dataset"])
        expected |= {child[index]["filename"]: {len(child[index]["gt_bboxes"])} for index in range(len(child))}
    assert plain == expected
    assert mixed != expected


@pytest.mark.parametrize("empty", [(0,), (1,), (0, 1)])
def test_images_without_boxes(config, empty):
    for which in empty:
        remove_boxes(config, which)
    config["pipeline"] = FULL
    dataset = build_dataset(config)
    for index in range(len(dataset)):
        item = dataset[index]
        assert item["img"].data.shape == (3, 64, 64)
        assert item["gt_bboxes"].data.shape == (len(item["gt_labels"].data), 4)


def test_class_lists_must_agree(config):
    config["domains"][1]["dataset"]["classes"] = ("nut",)
    with pytest.raises(UserError, match=r"\['nut', 'bolt'\] in sun, \['nut'\] in fog"):
        build_dataset(config)


@pytest.mark.parametrize("times", [0, -1, 1.5])
def test_repetition_must_be_positive(config, times):
    config["domains"][1]["times"] = times
    with pytest.raises(UserError, match="times="):
        build_dataset(config)


def test_one_domain_is_refused(config):
    config["domains"][1]["dataset"]["domain"] = "sun"
    with pytest.raises(UserError, match="two domains or more"):
        build_dataset(config)


def test_copy_paste_outside_the_mixing_data_set_is_explained(config):
    stock = dict(type="MultiImageMixDataset", dataset=config["domains"][0]["dataset"], pipeline=MIX)
    with pytest.raises(UserError, match="CrossDomainMixDataset"):
        build_dataset(stock)[0]


def test_mosaic_within_a_data_set_of_one_domain(config):
    stock = dict(type="MultiImageMixDataset", dataset=config["domains"][0]["dataset"], pipeline=MIX[1:])
    assert build_dataset(stock)[0]["img"].shape == (128, 128, 3)


def test_an_epoch_has_as_many_samples_as_asked_for(config):
    config["domains"][0]["samples"], config["domains"][1]["samples"] = 12, 5
    dataset = build_dataset(config)
    assert len(dataset) == len(dataset.flag) == 17
    drawn = [dataset.dataset[index]["ori_filename"] for index in range(17)]
    assert drawn[:5] == drawn[5:10] and drawn[10] in drawn[:2] and drawn[11] in drawn[2:5]
    assert drawn[12:14] == drawn[14:16] and drawn[16] in drawn[12:14]


def test_what_is_left_over_after_whole_repetitions_is_drawn_anew(config):
    config["domains"][0]["samples"] = 6
    dataset = build_dataset(config).dataset
    np.random.seed(0)
    last = {dataset[5]["ori_filename"] for _ in range(60)}
    assert last == {dataset[index]["ori_filename"] for index in range(5)}


def test_a_domain_without_samples_is_left_out(config):
    config["domains"][0]["samples"] = 0
    config["skip_type_keys"] = ["CrossDomainCopyPaste"]
    dataset = build_dataset(config)
    assert len(dataset) == 6 and dataset[0]["domain"] == "fog"


def test_of_more_images_than_samples_each_epoch_draws_others_evenly(config):
    config["domains"][0]["samples"] = 2
    dataset = build_dataset(config).dataset
    assert len(dataset) == 2 + 2 * 3
    np.random.seed(0)
    epochs = [[dataset[index]["filename"] for index in range(2)] for _ in range(60)]
    assert len({name for first, _ in epochs for name in [first]}) == 2
    assert len({name for _, second in epochs for name in [second]}) == 3
    assert not {first for first, _ in epochs} & {second for _, second in epochs}


def test_a_number_of_samples_below_zero_is_refused(config):
    config["domains"][0]["samples"] = -1
    with pytest.raises(UserError, match="samples=-1 of a domain must be a whole number"):
        build_dataset(config)
