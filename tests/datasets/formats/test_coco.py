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
    coco, findings, kind = folder.read()
    assert (coco, findings, kind) == (content, [], "coco")


@pytest.mark.parametrize(
    "annotation, box, crowd, words",
    [
        ({"bbox": [30, 20, -10, -5]}, (20, 15, 10, 5), 0, "put in order"),
        ({"segmentation": [[5, 6, 25, 6, 15, 16], [1, 2, 3, 4, 5, 3]]}, (1, 2, 24, 14), 0, "polygons without a box"),
        ({"bbox": [], "segmentation": [[5, 6, 25, 6, 15, 16]]}, (5, 6, 20, 10), 0, "polygons without a box"),
        ({"bbox": [10, 10, 20, 10], "attributes": {"rotation": 90.0}}, (15, 5, 10, 20), 0, "rotated boxes"),
        ({"bbox": [10, 10, 20, 10], "attributes": {"rotation": 0.0}}, (10, 10, 20, 10), 0, ""),
        ({"bbox": [1, 2, 10, 20], "ignore": 1}, (1, 2, 10, 20), 1, "marked as ignored"),
        ({"bbox": [1, 2, 10, 20], "ignore": 0}, (1, 2, 10, 20), 0, ""),
        ({"bbox": [1, 2, 10, 20], "iscrowd": "0"}, (1, 2, 10, 20), 0, ""),
        ({"bbox": [1, 2, 10, 20], "iscrowd": "false"}, (1, 2, 10, 20), 0, ""),
        ({"bbox": [1, 2, 10, 20], "iscrowd": True}, (1, 2, 10, 20), 1, ""),
        ({"bbox": [1, 2, 10, 20], "attributes": {"difficult": True}}, (1, 2, 10, 20), 1, "marked as ignored"),
    ],
)
def test_annotations_are_completed(folder, boxes, annotation, box, crowd, words):
    folder.picture("a.jpg")
    folder.write("a.json", coco_of(annotation))
    coco, findings, _ = folder.read()
    ((_, _, read, read_crowd),) = boxes(coco)
    assert read == pytest.approx(box) and read_crowd == crowd and type(read_crowd) is int
    assert len(findings) == bool(words) and all(words in finding.line() for finding in findings)
    assert "ignore" not in coco["annotations"][0]


@pytest.mark.parametrize(
    "name, found",
    [
        ("../../media/upload/7/0a1b2c3d-a.jpg", "sub/0a1b2c3d-a.jpg"),
        ("images\\0a1b2c3d-a.jpg", "sub/0a1b2c3d-a.jpg"),
        ("https://example.org/data/0a1b2c3d-a.jpg?token=1", "sub/0a1b2c3d-a.jpg"),
        ("https://example.org/data/with%20space.jpg", "sub/with space.jpg"),
        ("sub\\0a1b2c3d-a.jpg", "sub/0a1b2c3d-a.jpg"),
        ("./sub/0a1b2c3d-a.jpg", "sub/0a1b2c3d-a.jpg"),
        ("nowhere.jpg", None),
    ],
)
def test_names_from_elsewhere(folder, counts, name, found):
    folder.picture("sub/0a1b2c3d-a.jpg")
    folder.picture("sub/with space.jpg")
    folder.write("a.json", coco_of({"bbox": [1, 2, 10, 20]},
                                   images=[{"id": 7, "file_name": name, "width": 60, "height": 40}]))  # fmt: skip
    coco, findings, _ = folder.read()
    assert coco["images"][0]["file_name"] == (found or name)
    assert counts(findings, "not in the image folder") == ([] if found else [1])


def test_sizes_of_untouched_tasks(folder, counts):
    folder.picture("a.jpg", orientation=6)
    image = {"id": 7, "file_name": "a.jpg", "width": None, "height": None}
    folder.write("a.json", coco_of({"bbox": [1, 2, 10, 20]}, images=[image]))
    coco, findings, _ = folder.read()
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (60, 40)
    assert counts(findings, "sizes missing") == [1]


def test_class_map_joins_categories(folder, boxes):
    folder.picture("a.jpg")
    content = coco_of({"bbox": [1, 2, 10, 20]}, {"bbox": [1, 2, 10, 20], "category_id": 5})
    folder.write("a.json", content)
    coco = folder.read(class_map={"nut": "part", "bolt": "part"}).coco
    assert [name for _, name, *_ in boxes(coco)] == ["part", "part"]


def test_a_folder_holds_one(folder):
    folder.picture("a.jpg")
    folder.write("deep/a.json", coco_of({"bbox": [1, 2, 10, 20]}))
    assert folder.read().format == "coco"
    folder.write("b.json", copy.deepcopy(coco_of()))
    with pytest.raises(UserError, match="2 json files in"):
        folder.read()
