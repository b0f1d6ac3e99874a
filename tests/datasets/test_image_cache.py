import numpy as np
import pytest
from mmdet.datasets import build_dataloader, build_dataset

from ms2a.datasets.image_cache import ImageCache, cache_images
from tests.tiny import make_coco

IMAGE_BYTES = 48 * 80 * 3
LOAD = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
FINISH = [
    dict(type="YOLOXHSVRandomAug"),  # changes its image in place
    dict(type="DefaultFormatBundle"),
    dict(type="Collect", keys=["img", "gt_bboxes", "gt_labels"], meta_keys=("filename", "ori_shape", "img_shape")),
]


@pytest.fixture
def config(tmp_path):
    """Four images of 48 by 80 pixels, two of them in two domains."""
    domains = []
    for domain in ("sun", "fog"):
        ann_file = make_coco(tmp_path / domain, n_images=2, size_hw=(48, 80), seed=len(domains))
        child = dict(
            type="DomainCocoDataset", domain=domain, ann_file=str(ann_file), img_prefix=str(ann_file.parent / "images")
        )
        domains.append(dict(dataset=dict(child, classes=("part",), pipeline=LOAD), times=3))
    return dict(type="CrossDomainMixDataset", domains=domains, pipeline=FINISH)


def images(dataset):
    """What an epoch is fed."""
    found = []
    for number in range(len(dataset)):
        np.random.seed(number)
        found.append(dataset[number]["img"].data.numpy())
    return found


def test_cached_images_are_those_of_the_files_however_often_they_are_read(config):
    expected = images(build_dataset(config))
    dataset = build_dataset(config)
    cache = cache_images(dataset, limit=10 * IMAGE_BYTES)
    assert (cache.num_images, cache.num_bytes) == (4, 4 * IMAGE_BYTES)
    for _ in range(2):
        np.testing.assert_array_equal(images(dataset), expected)
    assert all(cache.get(number) is not None for number in range(4))


def test_the_limit_holds(config):
    dataset = build_dataset(config)
    cache = cache_images(dataset, limit=3 * IMAGE_BYTES + 1)
    assert (cache.num_images, cache.num_bytes) == (3, 3 * IMAGE_BYTES)
    images(dataset)
    assert [cache.get(number) is not None for number in range(4)] == [True, True, True, False]
    assert cache_images(build_dataset(config), limit=1).num_bytes == 0


def test_what_workers_read_is_there_for_those_of_the_next_epoch(config):
    dataset = build_dataset(config)
    cache = cache_images(dataset, limit=10 * IMAGE_BYTES)
    loader = build_dataloader(dataset, samples_per_gpu=2, workers_per_gpu=2, dist=False)
    assert cache.get(0) is None
    assert sum(1 for _ in loader) == 6
    assert all(cache.get(number) is not None for number in range(4))  # the workers have ended
    reads = []
    for part in dataset.dataset.datasets:
        part.dataset.pipeline.transforms[0].load = reads.append
    assert sum(1 for _ in loader) == 6 and not reads


def test_an_image_of_another_size_than_announced_is_not_kept():
    cache = ImageCache([12, 12], limit=100)
    cache.put(0, np.zeros((2, 3, 3), np.uint8))
    cache.put(1, np.full((2, 2, 3), 7, np.uint8))
    assert cache.get(0) is None
    assert (cache.get(1) == 7).all() and cache.get(1).shape == (2, 2, 3)
