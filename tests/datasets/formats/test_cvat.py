import pytest

from ms2a.errors import UserError


def document(body, meta="") -> str:
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return f"{head}\n<annotations><version>1.1</version><meta>{meta}</meta>{body}</annotations>"


def written(values) -> str:
    return " ".join(f'{key}="{value}"' for key, value in values.items())


def box(corners, **more) -> str:
    values = dict(zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)) | more
    content = values.pop("content", "")
    return f"<box {written(values)}>{content}</box>"


def image(name, content, **more) -> str:
    values = dict(id=0, name=name, width=60, height=40) | more
    return f"<image {written(values)}>{content}</image>"


def attribute(name, value) -> str:
    return f'<attribute name="{name}">{value}</attribute>'


def test_images(folder, boxes, counts):
    for name in ("a.jpg", "sub/b.jpg", "c.jpg"):
        folder.picture(name)
    shapes = [
        box((5, 6, 25, 16), label="nut", occluded=0),
        box((10, 10, 30, 20), label="nut", rotation=90),
        '<polygon label="bolt" points="5.00,6.00;25.00,6.00;15.00,16.00" occluded="0"></polygon>',
        '<ellipse label="nut" cx="30" cy="20" rx="10" ry="5" rotation="90.00"></ellipse>',
        '<mask label="nut" rle="7, 2, 1" left="10" top="20" width="5" height="2"></mask>',
        '<points label="nut" points="5.00,6.00"></points>',
        '<tag label="nut"></tag>',
        box((5, 6, 25, 16), label="nut", content=attribute("ignore", "true") + attribute("colour", "red")),
        box((5, 6, 25, 16), label="nut", content=attribute("ignore", "false")),
    ]
    meta = "<task><labels><label><name>nut</name></label><label><name>bolt</name></label></labels></task>"
    body = image("a.jpg", "".join(shapes)) + image("sub/b.jpg", "", id=1)
    folder.write("annotations.xml", document(body, meta))
    coco, findings, kind, _ = folder.read()
    assert kind == "cvat" and [picture["file_name"] for picture in coco["images"]] == ["a.jpg", "sub/b.jpg"]
    assert [category["name"] for category in coco["categories"]] == ["nut", "bolt"]
    expected = [
        ("nut", (5, 6, 20, 10), 0),
        ("nut", (15, 5, 10, 20), 0),
        ("bolt", (5, 6, 20, 10), 0),
        ("nut", (25, 10, 10, 20), 0),
        ("nut", (12, 21, 2, 1), 0),
        ("nut", (5, 6, 20, 10), 1),
        ("nut", (5, 6, 20, 10), 0),
    ]
    for (_, name, corners, crowd), right in zip(boxes(coco), expected, strict=True):
        assert (name, crowd) == (right[0], right[2]) and corners == pytest.approx(right[1])
    assert counts(findings, "rotated boxes") == [1] and counts(findings, "ellipses replaced") == [1]
    assert counts(findings, "<points> elements left out") == [1] and counts(findings, "<tag> elements left out") == [1]
    assert counts(findings, "does not list left out: 1 (c.jpg)") == [1]


def test_a_project_with_a_name_in_two_subsets(folder, boxes):
    for subset in ("train", "val"):
        folder.picture(f"{subset}/a.jpg")
    body = image("a.jpg", box((5, 6, 25, 16), label="nut"), subset="val") + image("a.jpg", "", subset="train")
    folder.write("annotations.xml", document(body))
    assert [name for name, *_ in boxes(folder.read().coco)] == ["val/a.jpg"]


TASK = (
    "<task><size>6</size><start_frame>0</start_frame><stop_frame>5</stop_frame><frame_filter>{}</frame_filter>"
    "<original_size><width>60</width><height>40</height></original_size></task>"
)


def tracked(frame, corners, outside=0, keyframe=1, **more) -> str:
    return box(corners, frame=frame, outside=outside, keyframe=keyframe, **more)


def test_tracks_become_frames(folder, boxes, counts):
    """A track as CVAT writes it: frames between key frames are listed, a box outside ends it."""
    for number in range(6):
        folder.picture(f"frame_{number:06d}.PNG")
    boxes_of_track = [
        tracked(0, (0, 0, 10, 10)),
        tracked(1, (2, 0, 12, 10), keyframe=0),
        tracked(2, (4, 0, 14, 10)),
        tracked(3, (4, 0, 14, 10), outside=1),
        tracked(5, (20, 0, 30, 10), rotation=90),
    ]
    single = [tracked(4, (40, 20, 50, 30)), tracked(5, (40, 20, 50, 30), outside=1)]  # how a shape is written
    body = "".join(f'<track id="0" label="nut">{"".join(one)}</track>' for one in (boxes_of_track, single))
    folder.write("annotations.xml", document(body, TASK.format("")))
    coco, findings, *_ = folder.read()
    assert len(coco["images"]) == 6
    assert [(name, box) for name, _, box, _ in boxes(coco)] == [
        ("frame_000000.PNG", (0, 0, 10, 10)),
        ("frame_000001.PNG", (2, 0, 10, 10)),
        ("frame_000002.PNG", (4, 0, 10, 10)),
        ("frame_000004.PNG", (40, 20, 10, 10)),
        ("frame_000005.PNG", (20, 0, 10, 10)),
    ]
    assert not counts(findings, "interpolated")


def test_key_frames_only_are_interpolated(folder, boxes, counts):
    for number in range(6):
        folder.picture(f"frame_{number:06d}.png")
    track = tracked(0, (0, 0, 10, 10)) + tracked(3, (30, 0, 40, 10)) + tracked(4, (30, 0, 40, 10), outside=1)
    folder.write("annotations.xml", document(f'<track id="0" label="nut">{track}</track>', TASK.format("")))
    coco, findings, *_ = folder.read()
    assert [box[0] for _, _, box, _ in boxes(coco)] == pytest.approx([0, 10, 20, 30])
    assert counts(findings, "interpolated") == [2]


def test_frames_of_a_step_and_without_picture(folder, boxes, counts):
    for number in (0, 5, 10):
        folder.picture(f"frame_{number:06d}.png")
    track = "".join(tracked(number, (number, 0, number + 10, 10)) for number in (0, 5, 10, 15))
    folder.write("annotations.xml", document(f'<track id="0" label="nut">{track}</track>'
                                             , TASK.format("step=5").replace(">5<", ">20<")))  # fmt: skip
    coco, findings, *_ = folder.read()
    assert [box[0] for _, _, box, _ in boxes(coco)] == [0, 5, 10]
    assert counts(findings, "frames without a picture: 1 (frame 15") == [1] and not counts(findings, "interpolated")


def test_pictures_of_other_names_are_taken_in_order(folder, boxes, counts):
    for name in "abcdef":
        folder.picture(f"{name}.jpg")
    folder.write("annotations.xml", document(f'<track id="0" label="nut">{tracked(2, (0, 0, 10, 10))}</track>',
                                             TASK.format("")))  # fmt: skip
    coco, findings, *_ = folder.read()
    assert [name for name, *_ in boxes(coco)] == ["c.jpg"] and counts(findings, "in the order of their names") == [6]
    folder.picture("g.jpg")
    with pytest.raises(UserError, match="is about 6 frames, but .* holds 7 pictures"):
        folder.read()


@pytest.mark.parametrize(
    "body, message",
    [
        (image("a.jpg", '<box label="nut" xtl="1" ytl="2" xbr="3"/>'), "<box> is not complete"),
        (image("a.jpg", '<polygon label="nut" points="1,2;3"/>'), "<polygon> is not complete"),
        (image("b.jpg", ""), "image b.jpg of .* is not in"),
        ("<track/>", "tracks of 0 tasks"),
        (image("a.jpg", "", width="6 0"), "annotations.xml is not as CVAT writes it .*6 0"),
    ],
)
def test_mistakes_are_explained(folder, body, message):
    folder.picture("a.jpg")
    folder.write("annotations.xml", document(body))
    with pytest.raises(UserError, match=message):
        folder.read()
