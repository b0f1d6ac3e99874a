import pytest

from ms2a.errors import UserError


def shape(points, kind="rectangle", label="nut", **more) -> dict:
    return {"label": label, "points": points, "shape_type": kind, "flags": {}, "group_id": None} | more


def write(folder, stem, shapes, path=None, size_wh=(60, 40)) -> None:
    content = {"version": "6.3.1", "flags": {}, "imageData": None, "shapes": shapes}
    content |= {"imagePath": path or f"{stem}.jpg", "imageWidth": size_wh[0], "imageHeight": size_wh[1]}
    folder.write(f"{stem}.json", content)


def test_every_shape(folder, boxes, counts):
    folder.picture("a.jpg")
    write(
        folder,
        "a",
        [
            shape([[5, 6], [25, 16]]),
            shape([[25, 16], [5, 6]]),  # drawn from the lower right
            shape([[25, 6], [5, 16]]),
            shape([[5, 6], [25, 6], [15, 16]], "polygon", "bolt"),
            shape([[30, 20], [33, 24]], "circle"),
            shape([[5, 6], [24, 15]], "mask"),
            shape([[20, 10], [30, 20], [20, 30], [10, 20]], "oriented_rectangle"),
            shape([[1, 1], [2, 2]], "line"),
            shape([[1, 1]], "point"),
        ],
    )
    coco, findings, kind, _ = folder.read()
    assert kind == "labelme"
    assert [(name, box) for _, name, box, _ in boxes(coco)] == [
        *[("nut", (5, 6, 20, 10))] * 3,
        ("bolt", (5, 6, 20, 10)),
        ("nut", (25, 15, 10, 10)),
        ("nut", (5, 6, 20, 10)),
        ("nut", (10, 10, 20, 20)),
    ]
    assert counts(findings, "put in order") == [2]
    for words in ("polygons", "circles", "masks", "rotated boxes"):
        assert counts(findings, f"{words} replaced by the box around them") == [1]
    assert counts(findings, "'line' left out") == [1] and counts(findings, "'point' left out") == [1]


def test_shapes_of_a_group_are_one_object(folder, boxes, counts):
    """An object that is hidden in the middle is drawn as several shapes of one group."""
    folder.picture("a.jpg")
    left, right = shape([[9, 16], [5, 6]], group_id=1), shape([[20, 8], [25, 20]], group_id=1)
    write(folder, "a", [left, shape([[1, 1], [3, 3]]), right, shape([[1, 1], [3, 3]], label="bolt", group_id=1)])
    coco, findings, *_ = folder.read()
    assert [(name, box) for _, name, box, _ in boxes(coco)] == [
        ("nut", (5, 6, 20, 14)),
        ("nut", (1, 1, 2, 2)),
        ("bolt", (1, 1, 2, 2)),
    ]
    assert counts(findings, "groups replaced by the box around them") == [1]


def test_flags_rotated_photos_and_names_with_folders(folder, boxes, counts):
    folder.picture("sub/a.jpg", orientation=8)
    folder.picture("b.jpg")
    folder.picture("c.jpg")
    flags = {"difficult": True, "blurred": True}
    write(folder, "a", [shape([[5, 6], [25, 16]], flags=flags), shape([[5, 6], [25, 16]])], "..\\photos\\a.jpg")
    write(folder, "b", [])
    coco, findings, *_ = folder.read()
    assert boxes(coco) == [("sub/a.jpg", "nut", (5, 6, 20, 10), 1), ("sub/a.jpg", "nut", (5, 6, 20, 10), 0)]
    assert [image["file_name"] for image in coco["images"]] == ["sub/a.jpg", "b.jpg"]
    assert counts(findings, "taken by their last part") == [1]
    assert counts(findings, "without a LabelMe file left out: 1 (c.jpg)") == [1]
    assert not any(finding.severity == "error" for finding in findings)


def test_two_pictures_of_the_last_part(folder):
    folder.picture("one/a.jpg")
    folder.picture("two/a.jpg")
    write(folder, "x", [shape([[5, 6], [25, 16]])], "../a.jpg")
    with pytest.raises(UserError, match="may be one/a.jpg or two/a.jpg"):
        folder.read()
    write(folder, "x", [shape([[5, 6], [25, 16]])], "../photos/two/a.jpg")
    assert folder.read().coco["images"][0]["file_name"] == "two/a.jpg"


def test_files_of_x_anylabeling(folder, boxes, counts):
    """Rectangles by four corners, turned ones by a kind of their own, and a flag beside the label."""
    folder.picture("a.jpg")
    corners = [[5, 6], [25, 6], [25, 16], [5, 16]]
    shapes = [shape(corners), shape(corners, "rotation", label="bolt"), shape(corners, label="nut", difficult=True)]
    write(folder, "a", shapes, size_wh=("60", "wide"))
    coco, findings, *_ = folder.read()
    assert [found[2:] for found in boxes(coco)] == [((5, 6, 20, 10), 0), ((5, 6, 20, 10), 0), ((5, 6, 20, 10), 1)]
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (60, 40)
    assert counts(findings, "rotated boxes replaced by the box around them") == [1]


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        {"label": "nut"},
        shape([[5, 6]]),
        shape([["a", 6], [1, 2]]),
        shape([[5, 6]], "circle"),
        shape([[5, 6], [7, 8]], flags=[1]),
    ],
)
def test_shapes_that_cannot_be_read(folder, broken):
    folder.picture("a.jpg")
    write(folder, "a", [broken])
    with pytest.raises(UserError, match="a.json: a shape cannot be read"):
        folder.read()


def test_the_same_name_in_several_folders(folder, boxes):
    for number, camera in enumerate(("cam1", "cam2"), start=1):
        folder.picture(f"{camera}/a.jpg")
        folder.picture("a.jpg")
        write(folder, f"{camera}/a", [shape([[0, 0], [10 * number, 10]])], "a.jpg")
    found = {name: box[2] for name, _, box, _ in boxes(folder.read().coco)}
    assert found == {"cam1/a.jpg": 10, "cam2/a.jpg": 20}


def test_no_labelme_file(folder):
    folder.write("a.json", {"images": []})
    with pytest.raises(UserError, match="no LabelMe file in"):
        folder.read(format="labelme")
