import copy

import pytest

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
    assert [annotation[1:] for annotation in boxes(coco)] == [("part", (1, 2, 10, 20), 0), ("part", (1, 2, 10, 20), 1)]
    content["annotations"][0]["bbox"] = None
    folder.write("a.json", content)
    with pytest.raises(UserError, match="annotation 1 has no listed image or category, or no box of numbers"):
        folder.read(class_map={"nut": "part"})


def test_a_folder_holds_one(folder):
    folder.picture("a.jpg")
    folder.write("deep/a.json", coco_of({"bbox": [1, 2, 10, 20]}))
    assert folder.read().format == "coco"
    folder.write("b.json", copy.deepcopy(coco_of()))
    with pytest.raises(UserError, match="2 json files in"):
        folder.read()
