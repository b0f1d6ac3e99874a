import copy

import pytest

from ms2a.datasets.fewshot import nested_splits
from ms2a.errors import UserError


def coco_of(classes_by_image: list[list[int]], num_classes: int = 3) -> dict:
    images, annotations = [], []
    for image_id, classes in enumerate(classes_by_image, start=1):
        images.append(dict(id=image_id, file_name=f"{image_id}.png", width=40, height=30))
        for category_id in classes:
            annotations.append(
                dict(id=len(annotations) + 1, image_id=image_id, category_id=category_id, bbox=[1, 1, 9, 9])
            )
    categories = [dict(id=number, name=f"class{number}") for number in range(1, num_classes + 1)]
    return dict(images=images, annotations=annotations, categories=categories)


def image_ids(split: dict) -> list:
    return [image["id"] for image in split["images"]]


def test_splits_are_nested_and_keep_all_annotations():
    coco = coco_of([[1, 1], [2], [1, 3]] * 20)
    before = copy.deepcopy(coco)
    splits = nested_splits(coco, [50, 10, 30], seed=3)
    assert coco == before
    assert list(splits) == [10, 30, 50]
    assert [len(splits[count]["images"]) for count in splits] == [10, 30, 50]
    assert set(image_ids(splits[10])) < set(image_ids(splits[30])) < set(image_ids(splits[50]))
    for split in splits.values():
        expected = [a for a in coco["annotations"] if a["image_id"] in image_ids(split)]
        assert split["annotations"] == expected
        assert split["categories"] == coco["categories"]


def test_seed_decides_whatever_the_file_order():
    coco = coco_of([[1]] * 40)
    turned = {**coco, "images": coco["images"][::-1]}
    first = nested_splits(coco, [10], seed=0)[10]
    assert sorted(image_ids(first)) == sorted(image_ids(nested_splits(turned, [10], seed=0)[10]))
    assert image_ids(first) != image_ids(nested_splits(coco, [10], seed=1)[10])


@pytest.mark.parametrize("seed", range(5))
def test_rare_classes_come_first(seed):
    # Class 3 is in one image of sixty, class 2 in another one.
    coco = coco_of([[1]] * 58 + [[2]] + [[3]])
    split = nested_splits(coco, [3], seed)[3]
    assert {annotation["category_id"] for annotation in split["annotations"]} == {1, 2, 3}


def test_image_with_most_missing_classes_is_preferred():
    coco = coco_of([[1]] * 10 + [[1, 2, 3]])
    assert image_ids(nested_splits(coco, [1], seed=0)[1]) == [11]


def test_class_without_images_is_no_obstacle():
    coco = coco_of([[1]] * 5, num_classes=2)
    assert len(nested_splits(coco, [4], seed=0)[4]["images"]) == 4


def test_images_without_valid_box_are_never_drawn():
    coco = coco_of([[1], [1], [1], [1], []])
    coco["annotations"][0]["bbox"] = [1, 1, 0, 5]
    coco["annotations"][1]["bbox"] = [100, 1, 5, 5]
    coco["annotations"][2]["iscrowd"] = 1
    assert image_ids(nested_splits(coco, [1], seed=0)[1]) == [4]
    with pytest.raises(UserError, match="2 annotated images asked for, but only 1 of 5"):
        nested_splits(coco, [2], seed=0)


def test_boxes_of_other_classes_do_not_make_an_image_an_annotated_one():
    coco = coco_of([[1]] * 30 + [[2]] * 3 + [[1, 2]])
    split = nested_splits(coco, [4], 0, [coco["categories"][1]["name"]])[4]
    assert image_ids(split) == [31, 32, 33, 34]
    with pytest.raises(UserError, match="5 annotated images asked for, but only 4 of 34 .* of "):
        nested_splits(coco, [5], 0, [coco["categories"][1]["name"]])


@pytest.mark.parametrize("counts", [[], [0], [-1, 5]])
def test_counts_must_be_positive(counts):
    with pytest.raises(UserError, match="positive"):
        nested_splits(coco_of([[1]] * 9), counts, seed=0)
