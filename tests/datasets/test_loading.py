"""Training images read at the size of the network, and handed over as bytes: the same samples as mmdet's, sooner."""

import copy
import random

import numpy as np
import pytest
import torch
from mmdet.datasets import build_dataset
from mmdet.datasets.builder import PIPELINES
from mmdet.models import build_detector

from benchmarks import loader
from benchmarks.copy_paste import MaskPerBox
from ms2a.config import CONFIGS, load_config
from ms2a.datasets.image_cache import cache_images
from tests.tiny import make_coco, make_config, make_domains

FRAME = (64, 64)


def dataset_of(ann_file, load, pipeline=()):
    child = dict(type="DomainCocoDataset", domain="sun", ann_file=str(ann_file), classes=("part",))
    child.update(img_prefix=str(ann_file.parent / "images"), pipeline=[load, dict(type="LoadAnnotations")])
    return build_dataset(dict(type="MultiImageMixDataset", dataset=child, pipeline=list(pipeline)))


def drawn(dataset, seed):
    np.random.seed(seed)
    return dataset[seed % len(dataset)]


@pytest.mark.parametrize(
    ("size_hw", "expected_hw"), [((128, 96), (64, 48)), ((40, 60), (40, 60)), ((50, 200), (16, 64))]
)
def test_an_image_outside_the_frame_is_reduced_with_its_boxes(tmp_path, size_hw, expected_hw):
    ann_file = make_coco(tmp_path, n_images=2, size_hw=size_hw)
    full = dataset_of(ann_file, dict(type="LoadImageFromFile"))
    reduced = dataset_of(ann_file, dict(type="LoadReducedImage", img_scale=FRAME))
    for number in range(2):
        before, after = full[number], reduced[number]
        assert after["img"].shape == (*expected_hw, 3) == after["img_shape"]
        assert after["ori_shape"] == before["ori_shape"] == (*size_hw, 3)
        factors = np.array([expected_hw[1] / size_hw[1], expected_hw[0] / size_hw[0]] * 2)
        np.testing.assert_allclose(after["gt_bboxes"], before["gt_bboxes"] * factors, rtol=1e-5)
    # The annotations themselves stay as they were.
    np.testing.assert_array_equal(reduced[0]["gt_bboxes"], reduced[0]["gt_bboxes"])


def test_mosaic_of_reduced_images_is_mosaic_of_the_files(tmp_path):
    ann_file = make_coco(tmp_path, n_images=4, size_hw=(128, 96))
    mosaic = [dict(type="Mosaic", img_scale=FRAME)]
    full = dataset_of(ann_file, dict(type="LoadImageFromFile"), mosaic)
    reduced = dataset_of(ann_file, dict(type="LoadReducedImage", img_scale=FRAME), mosaic)
    for seed in range(20):
        before, after = drawn(full, seed), drawn(reduced, seed)
        np.testing.assert_array_equal(after["img"], before["img"])
        np.testing.assert_allclose(after["gt_bboxes"], before["gt_bboxes"], rtol=1e-5, atol=1e-3)


def test_colours_shifted_by_tables_are_those_of_mmdet():
    rng = np.random.default_rng(0)
    stock, ours = (PIPELINES.build(dict(type=name)) for name in ("YOLOXHSVRandomAug", "HSVShift"))
    for seed in range(50):
        image = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
        image[:4] = image[:4, :, :1]  # greys, whose hue is none
        found = []
        for transform in (stock, ours):
            np.random.seed(seed)
            found.append((transform(dict(img=image.copy()))["img"], np.random.rand()))
        np.testing.assert_array_equal(found[1][0], found[0][0])
        assert found[1][1] == found[0][1]  # as many random numbers


def test_a_cache_keeps_reduced_images_and_gives_what_the_files_give(tmp_path):
    ann_file = make_coco(tmp_path, n_images=4, size_hw=(128, 96))
    load = dict(type="LoadReducedImage", img_scale=FRAME)
    plain, cached = dataset_of(ann_file, load), dataset_of(ann_file, load)
    cache = cache_images(cached, 4 * 64 * 48 * 3)
    assert cache.num_images == 4  # they would not fit at the size of the files
    for _ in range(2):
        for number in range(4):
            expected, found = plain[number], cached[number]
            assert found.keys() == expected.keys()
            for key in ("img", "gt_bboxes", "gt_labels"):
                np.testing.assert_array_equal(found[key], expected[key])
            for key in ("filename", "ori_filename", "ori_shape", "img_shape"):
                assert found[key] == expected[key]
    assert all(cache.get(number) is not None for number in range(4))


def test_bytes_and_floats_give_the_same_losses(tmp_path):
    make_domains(tmp_path)
    cfg = load_config(make_config(tmp_path / "config.py", tmp_path))
    model = build_detector(cfg.model).train()
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    sample = dict(
        img_metas=[dict(domain=domain, img_shape=(64, 96, 3)) for domain in ("day", "night")],
        gt_bboxes=[torch.tensor([[8.0, 8, 40, 40]])] * 2,
        gt_labels=[torch.zeros(1, dtype=torch.long)] * 2,
    )
    losses = []
    for img in (image, image.float()):
        random.seed(0)
        model.start_epoch(0)
        losses.append(model.forward_train(img, **sample))
    for name, value in losses[0].items():
        torch.testing.assert_close(value, losses[1][name], rtol=0, atol=0)


@pytest.mark.parametrize("stage", list(loader.STAGES))
def test_the_loading_benchmark_reads_what_it_compares(tmp_path, stage):
    annotations = loader.make_coco(tmp_path, 4, (48, 96))
    stock = loader.stock_dataset(annotations, FRAME)[0]
    ours = build_dataset(loader.own_config(stage, annotations, FRAME).data.train)[0]
    assert stock["img"].data.shape == ours["img"].data.shape == (3, *FRAME)
    assert (stock["img"].data.dtype, ours["img"].data.dtype) == (torch.float32, torch.uint8)


@PIPELINES.register_module()
class MaskPerBoxCopyPaste(MaskPerBox):
    pass


@pytest.mark.parametrize("stage", ["base", "pretrain_mom"])
def test_samples_of_a_small_recipe_are_bit_for_bit_those_of_the_stock_transforms(tmp_path, stage):
    options = {}
    for seed, side in enumerate(("source", "target")):
        annotations = make_coco(tmp_path / side, n_images=6, size_hw=(320, 200), seed=seed)
        options |= {f"{side}_train.ann_file": annotations.name, f"data_roots.{side}": str(annotations.parent)}
    if stage == "base":
        options.pop("target_train.ann_file")
    train = load_config(CONFIGS / f"yolox/yolox_fs_n_custom_{stage}.py", {**options, "classes": ["part"]}).data.train
    stock = copy.deepcopy(train)
    names = dict(HSVShift="YOLOXHSVRandomAug", CrossDomainCopyPaste="MaskPerBoxCopyPaste")
    for step in stock.pipeline:
        step.type = names.get(step.type, step.type)
        step.pop("img_to_float", None)
    for part in [stock.dataset] if "dataset" in stock else [domain.dataset for domain in stock.domains]:
        part.pipeline[0] = dict(type="LoadImageFromFile")
    ours, theirs = build_dataset(train), build_dataset(stock)
    for seed in range(40):
        found, expected = drawn(ours, seed), drawn(theirs, seed)
        torch.testing.assert_close(found["img"].data.float(), expected["img"].data, rtol=0, atol=0)
        for key in ("gt_bboxes", "gt_labels"):
            torch.testing.assert_close(found[key].data, expected[key].data, rtol=0, atol=0)
