import pytest

from ms2a.errors import UserError

NAMES = "names: [nut, bolt]\n"


def test_boxes_polygons_endings_and_empty_pictures(folder, boxes, counts):
    folder.write("data.yaml", NAMES)
    folder.write("labels/a.txt", "0 0.5 0.5 0.5 0.25\r\n\r\n1 0.1 0.2 0.3 0.2 0.3 0.8\r\n")
    folder.write("labels/c.txt", "1 0.25 0.25 0.5 0.5 0.93\n")
    folder.write("labels/empty.txt", "")
    folder.write("labels/gone.txt", "0 0.5 0.5 0.5 0.25\n")
    for name in ("a.jpg", "b.PNG", "c.JPG", "empty.webp"):
        folder.picture(name, (60, 40))
    coco, findings, kind, _ = folder.read()
    assert kind == "yolo" and len(coco["images"]) == 4
    assert boxes(coco) == [
        ("a.jpg", "nut", (15, 15, 30, 10), 0),
        ("a.jpg", "bolt", (6, 8, 12, 24), 0),
        ("c.JPG", "bolt", (0, 0, 30, 20), 0),
    ]
    assert [category["name"] for category in coco["categories"]] == ["nut", "bolt"]
    assert counts(findings, "polygons replaced") == [1]
    assert counts(findings, "without a label file, taken for empty: 1 (b.PNG)") == [1]
    assert counts(findings, "sixth numbers") == [1]
    assert counts(findings, "label files of pictures that are not in the image folder: 1 (gone.txt)") == [1]


def test_fractions_are_of_the_upright_photo(folder, boxes):
    folder.write("data.yaml", NAMES)
    folder.write("a.txt", "0 0.5 0.5 0.5 0.25")
    folder.picture("a.jpg", (60, 40), orientation=6)
    coco = folder.read().coco
    assert boxes(coco)[0][2] == (15, 15, 30, 10)
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (60, 40)


def test_labels_beside_the_images_of_each_part(tmp_path, boxes):
    """The layout train/images, train/labels, val/images, val/labels, with the same names in both."""
    from ms2a.datasets.formats import read_annotations
    from tests.tiny_annotations import Folder

    for part, number in (("train", 0), ("val", 1)):
        (tmp_path / part).mkdir()
        here = Folder(tmp_path / part)
        here.picture("a.jpg")
        here.write("a.txt", f"{number} 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text("names:\n  1: bolt\n  0: nut\n")
    for part, name in (("train", "nut"), ("val", "bolt")):
        for source in (tmp_path, tmp_path / "data.yaml"):
            coco = read_annotations(source, tmp_path / part / "images").coco
            assert boxes(coco) == [("a.jpg", name, (15, 10, 30, 20), 0)]


def test_an_empty_picture_does_not_take_the_label_of_another_part(tmp_path):
    from ms2a.datasets.formats import read_annotations
    from tests.tiny_annotations import Folder

    for part, label in (("train", "a"), ("val", "b")):
        (tmp_path / part).mkdir()
        here = Folder(tmp_path / part)
        here.picture("a.jpg")
        here.picture("b.jpg")
        here.write(f"{label}.txt", "0 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text(NAMES)
    coco = read_annotations(tmp_path, tmp_path / "val/images").coco
    assert [a["image_id"] for a in coco["annotations"]] == [2] and len(coco["images"]) == 2


def test_the_layout_of_darknet(folder, boxes, counts):
    folder.picture("a.jpg")
    folder.write("obj.names", "nut\nbolt\n")
    folder.write("train.txt", "data/obj_train_data/a.jpg\n")
    folder.write("obj_train_data/a.txt", "1 0.5 0.5 0.5 0.5")
    coco, findings, *_ = folder.read()
    assert [(name, label) for name, label, *_ in boxes(coco)] == [("a.jpg", "bolt")]
    assert counts(findings, "by the picture's name alone") == [1] and not counts(findings, "not in the image folder")


def test_text_that_is_not_utf8(folder):
    folder.write("data.yaml", NAMES)
    folder.picture("a.jpg")
    (folder.labels / "a.txt").write_bytes(b"0 0.5 0.5 0.5 0.5\n\xff\xfe")
    with pytest.raises(UserError, match="a.txt is not text in UTF-8"):
        folder.read(format="yolo")


def test_names_without_a_list(folder, counts):
    folder.write("a.txt", "1 0.5 0.5 0.5 0.5")
    folder.picture("a.jpg")
    coco, findings, *_ = folder.read(["nut", "bolt"])
    assert coco["annotations"][0]["category_id"] == 2
    assert counts(findings, "taken for the order of the classes") == [1]
    with pytest.raises(UserError, match="no list of class names .*name the classes"):
        folder.read()
    folder.write("classes.txt", "screw\nwasher\n")
    assert [category["name"] for category in folder.read().coco["categories"]] == ["screw", "washer"]


def test_pictures_that_share_a_label_file(folder, boxes, counts):
    folder.write("data.yaml", NAMES)
    folder.write("a.txt", "0 0.5 0.5 0.5 0.5")
    folder.picture("a.jpg")
    folder.picture("a.png")
    coco, findings, *_ = folder.read()
    assert [name for name, *_ in boxes(coco)] == ["a.jpg", "a.png"]
    assert counts(findings, "share a label file") == [1]


def test_keypoints_behind_a_box_are_no_polygon(folder, boxes, counts):
    folder.write("data.yaml", "kpt_shape: [2, 2]\nnames: [nut]")
    folder.write("a.txt", "0 0.5 0.5 0.5 0.5 0.1 0.1 0.9 0.9")
    folder.picture("a.jpg")
    coco, findings, *_ = folder.read()
    assert boxes(coco) == [("a.jpg", "nut", (15, 10, 30, 20), 0)]
    assert counts(findings, "keypoints behind boxes passed over") == [1]


@pytest.mark.parametrize(
    "line, message",
    [
        ("0 0.5 0.5 0.5", "line 1: 3 coordinates"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1", "line 1: 7 coordinates"),
        ("nut 0.5 0.5 0.5 0.5", "is not a class number and coordinates"),
        ("1e999 0.5 0.5 0.5 0.5", "is not a class number and coordinates"),
        ("0 30 20 30 20", "coordinate 30.0 is no fraction of the picture"),
        ("0 nan 0.5 0.5 0.5", "coordinate .* is no fraction of the picture"),
        ("0 0.5 0.5 0.5 nan", "coordinate nan is no fraction of the picture"),
        ("2 0.5 0.5 0.5 0.5", "class number 2 has no name"),
        ("0.5 0.5 0.5 0.5 0.5", "is not a class number and coordinates"),
    ],
)
def test_mistakes_are_explained(folder, line, message):
    folder.write("data.yaml", NAMES)
    folder.write("a.txt", line)
    folder.picture("a.jpg")
    with pytest.raises(UserError, match=message):
        folder.read(format="yolo")


@pytest.mark.parametrize("names", ["names: 3", "names: {a: b}", "other: 1", "names: [", "- a"])
def test_a_list_of_names_that_is_none(folder, names):
    folder.write("data.yaml", names)
    folder.write("a.txt", "0 0.5 0.5 0.5 0.5")
    folder.picture("a.jpg")
    with pytest.raises(UserError, match=r"data.yaml"):
        folder.read()


def test_labels_of_other_pictures(folder):
    folder.write("data.yaml", NAMES)
    folder.write("b.txt", "0 0.5 0.5 0.5 0.5")
    folder.picture("a.jpg")
    with pytest.raises(UserError, match="no label file below .* for any picture"):
        folder.read()
