import pytest

from ms2a.errors import UserError

REST = "1.5 1.6 3.9 -10.0 1.7 30.0 -1.2"


def line(name, box, score="") -> str:
    return f"{name} 0.00 0 1.55 {' '.join(map(str, box))} {REST} {score}".strip() + "\n"


def test_boxes_and_regions(folder, boxes, counts):
    folder.picture("000001.png", (120, 40))
    folder.picture("000002.png", (120, 40))
    folder.picture("000003.png", (120, 40))
    folder.write("000001.txt", line("Car", (10.5, 5.25, 30.5, 25.25)) + line("DontCare", (50, 5, 70, 15)))
    folder.write("000002.txt", line("Pedestrian", (0, 0, 20, 39), 0.7) + line("Car", (60, 0, 119, 20)))
    coco, findings, kind, _ = folder.read()
    assert kind == "kitti"
    assert boxes(coco) == [
        ("000001.png", "Car", (10.5, 5.25, 20, 20), 0),
        ("000001.png", "Car", (50, 5, 20, 10), 1),
        ("000001.png", "Pedestrian", (50, 5, 20, 10), 1),  # ignored whatever the class
        ("000002.png", "Pedestrian", (0, 0, 20, 39), 0),
        ("000002.png", "Car", (60, 0, 59, 20), 0),
    ]
    assert counts(findings, "DontCare regions") == [1]
    assert counts(findings, "without a label file left out: 1 (000003.png)") == [1]


def test_class_map(folder, boxes, counts):
    folder.picture("1.png", (120, 40))
    folder.write("1.txt", "".join(line(name, (10, 5, 30, 25)) for name in ("Car", "Van", "Truck", "Tram", "Tram")))
    coco, findings, *_ = folder.read(class_map={"Car": "car", "Van": "car", "Truck": "ignore"})
    assert [(name, crowd) for _, name, _, crowd in boxes(coco)] == [("car", 0), ("car", 0), ("car", 1)]
    assert counts(findings, "'Tram' left out, not named by the class map") == [2]


def test_a_class_map_may_say_otherwise_of_dontcare(folder, boxes):
    folder.picture("1.png", (120, 40))
    folder.write("1.txt", line("Car", (10, 5, 30, 25)) + line("DontCare", (50, 5, 70, 15)))
    coco = folder.read(class_map={"Car": "car", "DontCare": "thing"}).coco
    assert [(name, crowd) for _, name, _, crowd in boxes(coco)] == [("car", 0), ("thing", 0)]


@pytest.mark.parametrize("text", ["Car 0 0 1 2 3 4 5\n", line("Car", ("a", 0, 1, 2)), "Car\n"])
def test_lines_that_are_not_of_kitti(folder, text):
    folder.picture("1.png")
    folder.write("1.txt", line("Car", (10, 5, 30, 25)) + text)
    with pytest.raises(UserError, match=r"1.txt, line 2: .* is no KITTI label"):
        folder.read()
