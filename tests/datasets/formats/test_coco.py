import copy

import pytest

from ms2a.datasets.check.sets import check_set
from ms2a.errors import UserError


def coco_of(*annotations, images=None) -> dict:
    return {
        "images": images or [{"id": 7, "file_name": "a.jpg", "width": 60, "height": 40}],
        "annotations": [
            {"id": number, "image_id": 7, "category_id": 3} | annotation
            for number, annotation in enumerate(annotations, start=1)
        ],
        "categories": [{"id": 3, "name": "nut"}, {"id": 5, "name": "bolt"}],
    }


def test_what_needs_nothing_stays_as_it_is(folder):
    folder.picture("a.jpg")
    content = coco_of({"bbox": [1, 2, 10, 20], "area": 150, "iscrowd": 0, "score": 0.5}) | {"info": {"year": 1}}
    folder.write("a.json", content)
    coco, findings, kind, _ = folder.read()
    assert (coco, findings, kind) == (content, [], "coco")


def test_class_map_joins_categories(folder, boxes):
    folder.picture("a.jpg")
    content = coco_of({"bbox": [1, 2, 10, 20]}, {"bbox": [1, 2, 10, 20], "category_id": 5, "ignore": "1"})
    folder.write("a.json", content)
    coco = folder.read(class_map={"nut": "part", "bolt": "part"}).coco
    coco = check_set(coco, folder.images).coco
    assert [annotation[1:] for annotation in boxes(coco)] == [("part", (1, 2, 10, 20), 0), ("part", (1, 2, 10, 20), 1)]


def test_class_map_leaves_the_rest_to_the_check(folder, counts):
    """Stated sizes, rotations, shapes without a box and boxes of no listed picture go through a class map."""
    folder.picture("a.jpg")
    turned = {"bbox": [10, 10, 20, 10], "attributes": {"rotation": 90}}
    drawn = {"segmentation": [[40, 5, 50, 5, 50, 15]], "category_id": 5}
    content = coco_of(turned, drawn, {"bbox": [1, 1, 5, 5], "image_id": 9}, {"bbox": [1, 1, 5, 5], "category_id": 8})
    folder.write("a.json", content)
    coco, findings, *_ = folder.read(class_map={"nut": "part", "bolt": "part"})
    checked = check_set(coco, folder.images, findings=findings)
    assert [annotation["bbox"] for annotation in checked.coco["annotations"]] == [[15, 5, 10, 20], [40, 5, 10, 10]]
    assert counts(checked.findings, "of a picture that is not listed: 1 (image_id 9)") == [1]
    assert counts(checked.findings, "of a category that is not listed: 1 (8)") == [1]
    content["images"][0]["width"] = 600
    folder.write("a.json", content)
    coco = folder.read(class_map={"nut": "part", "bolt": "part"}).coco
    assert counts(check_set(coco, folder.images).findings, "of another size than their annotations state") == [1]


def test_class_map_ignores_and_leaves_out(folder, boxes, counts):
    folder.picture("a.jpg")
    folder.write("a.json", coco_of({"bbox": [1, 2, 10, 20]}, {"bbox": [20, 2, 10, 20], "category_id": 5}))
    coco = folder.read(class_map={"nut": "part", "bolt": "ignore"}, classes=["screw", "part"]).coco
    expected = [("part", (1, 2, 10, 20), 0), *((name, (20, 2, 10, 20), 1) for name in ("screw", "part"))]
    assert [found[1:] for found in boxes(check_set(coco, folder.images).coco)] == expected
    coco, findings, *_ = folder.read(class_map={"nut": "part"})
    assert counts(findings, "objects called 'bolt' left out, not named by the class map") == [1]


def test_a_folder_holds_one(folder):
    folder.picture("a.jpg")
    folder.write("deep/a.json", coco_of({"bbox": [1, 2, 10, 20]}))
    assert folder.read().format == "coco"
    folder.write("b.json", copy.deepcopy(coco_of()))
    with pytest.raises(UserError, match="2 json files in"):
        folder.read()
