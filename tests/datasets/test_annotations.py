import copy
import json
import math

import pytest

from ms2a.datasets.annotations import clip_box, mend_annotations, order_categories, read_coco
from ms2a.datasets.findings import Findings
from ms2a.errors import UserError
from tests.tiny import make_coco


def coco_of(*boxes) -> dict:
    annotations = [dict(id=n, image_id=1, category_id=1, bbox=list(box)) for n, box in enumerate(boxes, start=1)]
    image = dict(id=1, file_name="a.png", width=100, height=50)
    return dict(images=[image], annotations=annotations, categories=[dict(id=1, name="part")])


@pytest.mark.parametrize(
    "box, expected",
    [
        ([10, 10, 20, 20], [10, 10, 20, 20]),
        ([-5, -5, 20, 20], [0, 0, 15, 15]),
        ([90, 40, 20, 20], [90, 40, 10, 10]),
        ([100, 10, 20, 20], None),
        ([-20, 10, 20, 20], None),
        ([10, 10, 0, 20], None),
        ([10, 10, 20, -3], None),
        ([99.5, 10, 20, 20], None),
        ([10, float("nan"), 20, 20], None),
        ([10, 10, float("inf"), 20], None),
        ([10, 10, 10**400, 20], None),
        ([10, 10, 20], None),
        (None, None),
    ],
)
def test_clip_box(box, expected):
    assert clip_box(box, (100, 50)) == expected


def test_mending_counts_and_changes():
    coco = coco_of([10, 10, 20, 20], [-5, 0, 20, 20], [200, 0, 5, 5], [1, 1, 0, 0])
    coco["annotations"].append(dict(id=9, image_id=7, category_id=1, bbox=[1, 1, 5, 5]))
    findings = Findings()
    assert mend_annotations(coco, findings) == (3, 1, True)
    assert [finding.line() for finding in findings] == [
        "boxes clipped to their picture: 1 ([-5, 0, 20, 20] of a.png)",
        "boxes dropped: outside their picture, malformed or under one pixel: 2 (e.g. [200, 0, 5, 5] of a.png)",
        "boxes dropped: of a picture that is not listed: 1 (image_id 7)",
    ]
    assert [annotation["bbox"] for annotation in coco["annotations"]] == [[10, 10, 20, 20], [0, 0, 15, 20]]
    assert [annotation["area"] for annotation in coco["annotations"]] == [400, 300]
    assert [annotation["iscrowd"] for annotation in coco["annotations"]] == [0, 0]


def test_boxes_of_a_category_that_is_not_listed_are_told():
    coco = dict(images=[dict(id=1, width=50, height=50)], categories=[dict(id=1, name="nut")])
    coco["annotations"] = [dict(id=n + 1, image_id=1, category_id=n, bbox=[5, 5, 9, 9]) for n in (0, 1)]
    findings = Findings()
    mend_annotations(coco, findings)
    assert [finding.line() for finding in findings] == [
        "boxes dropped: of a category that is not listed: 1 (category_id 0)"
    ]
    assert [annotation["category_id"] for annotation in coco["annotations"]] == [1]


def test_mending_leaves_sound_annotations_alone():
    coco = coco_of([10, 10, 20, 20])
    coco["annotations"][0].update(area=311.5, iscrowd=0)
    before = copy.deepcopy(coco)
    assert mend_annotations(coco, Findings()) == (0, 0, False)
    assert coco == before


@pytest.mark.parametrize("useless", [dict(area=None, iscrowd=None), dict(area="x"), dict(area=-3.0), dict(area=0)])
def test_useless_area_and_iscrowd_are_replaced(useless):
    coco = coco_of([10, 10, 20, 30])
    coco["annotations"][0].update(useless)
    mend_annotations(coco, Findings())
    assert (coco["annotations"][0]["area"], coco["annotations"][0]["iscrowd"]) == (600, 0)


def test_zero_and_repeated_ids_are_renumbered():
    coco = coco_of([10, 10, 20, 20], [0, 0, 5, 5])
    for annotation in coco["annotations"]:
        annotation.update(id=0, area=1, iscrowd=0)
    findings = Findings()
    assert mend_annotations(coco, findings).changed and len(findings) == 1
    assert [annotation["id"] for annotation in coco["annotations"]] == [1, 2]


def test_categories_follow_the_classes():
    coco = dict(categories=[dict(id=3, name="car"), dict(id=1, name="person"), dict(id=2, name="bus")])
    assert order_categories(coco, ["bus", "car"], "a.json")
    assert [category["name"] for category in coco["categories"]] == ["bus", "car", "person"]
    assert not order_categories(coco, ["bus", "car"], "a.json")
    with pytest.raises(UserError, match=r"'truck'.*\['bus', 'truck'\].*\['bus', 'car', 'person'\]"):
        order_categories(coco, ["bus", "truck"], "a.json")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda coco: coco.pop("images"), "COCO form"),
        (lambda coco: coco.update(annotations={}), "'annotations' should be a list"),
        (lambda coco: coco["annotations"][0].pop("image_id"), "annotation number 0 lacks 'image_id'"),
        (lambda coco: coco["images"][0].update(width="96"), "'width' of image number 0 is '96', expected a number"),
        (lambda coco: coco["images"][0].update(height=-2), "'height' of image number 0 is -2, expected a number above"),
        (
            lambda coco: coco["images"][0].update(file_name=None),
            "'file_name' of image number 0 is None, expected a text",
        ),
        (lambda coco: coco["annotations"][0].update(image_id=[1]), r"'image_id' of annotation number 0 is \[1\]"),
        (
            lambda coco: coco["images"].append(dict(coco["images"][0], file_name="other.jpg")),
            "image id 1 appears more than once, for .*other.jpg.*; make it unique",
        ),
        (
            lambda coco: coco["categories"].append(dict(coco["categories"][0], name="bolt")),
            "category id 1 appears more than once, for .*bolt.*; make it unique",
        ),
        (
            lambda coco: coco["images"].append(dict(coco["images"][0], id="b")),
            r"some image ids are texts \('b'\), some are numbers \(1\); write all in one way",
        ),
        (lambda coco: coco["categories"].append(dict(id="b", name="bolt")), "some category ids are texts"),
        (
            lambda coco: coco["categories"].append(dict(id=2, name="part")),
            "category name 'part' appears more than once",
        ),
    ],
)
def test_bad_files_are_explained(tmp_path, change, message):
    coco = coco_of([1, 1, 5, 5])
    change(coco)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco))
    with pytest.raises(UserError, match=message):
        read_coco(path)


def test_annotations_may_be_absent(tmp_path):
    coco = coco_of()
    del coco["annotations"]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco))
    assert read_coco(path)["annotations"] == []


@pytest.mark.parametrize(
    ("entries", "key", "value", "message"),
    [
        ("images", "id", math.nan, "one image id is nan"),
        ("categories", "id", math.inf, "one category id is inf"),
        ("images", "width", math.inf, "'width' of image number 1 is inf, expected a number above 0"),
    ],
)
def test_numbers_that_are_none_are_refused(tmp_path, entries, key, value, message):
    path = make_coco(tmp_path, classes=("nut", "bolt"))
    coco = json.loads(path.read_text())
    coco[entries][1][key] = value
    path.write_text(json.dumps(coco))
    with pytest.raises(UserError, match=message):
        read_coco(path)
