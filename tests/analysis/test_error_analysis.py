"""Kinds of errors and what they cost, on a scene whose figures are known."""

import json

import pytest

from ms2a.analysis.error_analysis import analyse_errors, sort_detections
from ms2a.errors import UserError
from tests.tiny import tool

run = tool("tools/error_analysis.py")


def item(image, box, score=None, category=1, **more):
    scored = {} if score is None else {"score": score, "domain": "night"}
    return dict(image_id=image, category_id=category, bbox=box, **scored, **more)


OBJECTS = [
    item(1, [10, 10, 20, 20], id=1, area=400, iscrowd=0),
    item(1, [50, 10, 20, 20], id=2, area=400, iscrowd=0),
    item(2, [10, 10, 20, 20], id=3, area=400, iscrowd=0),
    item(2, [60, 40, 20, 20], id=4, area=400, iscrowd=0),
]
DETECTIONS = [
    item(1, [90, 60, 20, 20], 0.9),  # nothing is there
    item(1, [11, 10, 20, 20], 0.8),
    item(1, [10, 11, 20, 20], 0.7),  # the same object again
    item(1, [62, 10, 20, 20], 0.6),  # IoU 0.25
    item(1, [50, 10, 20, 20], 0.5),
    item(2, [10, 10, 20, 20], 0.4),
    item(2, [10, 10, 20, 20], 0.95, category=2),  # of another class
]


@pytest.fixture
def files(tmp_path):
    images = [dict(id=number, file_name=f"{number}.jpg", width=120, height=90) for number in (1, 2)]
    categories = [dict(id=1, name="part")]
    truth = dict(images=images, annotations=OBJECTS, categories=categories)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(DETECTIONS[:-1]))
    return tmp_path / "truth.json", tmp_path / "found.json"


def test_the_kind_of_each_detection():
    kinds, never_found = sort_detections(OBJECTS, DETECTIONS)
    assert kinds == ["background", "found", "duplicate", "loose box", "found", "found", "background"]
    assert never_found == {4}


def test_where_nothing_is_found_misses_cost_what_cannot_be_said(files, recwarn):
    files[1].write_text(json.dumps(DETECTIONS[:1]))
    whole, gains = analyse_errors(*files)
    assert (whole, "missed object" in gains, gains["background"]) == (0, False, 0)
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]


def test_a_set_without_objects_is_refused(files):
    truth = json.loads(files[0].read_text())
    files[0].write_text(json.dumps({**truth, "annotations": [{**OBJECTS[0], "iscrowd": 1}]}))
    with pytest.raises(UserError, match="truth.json: boxes, all of them crowd, difficult or ignored"):
        analyse_errors(*files)


def precision(hits, num_objects):
    """COCO's mean of the precision at 101 recalls, by a plain loop."""
    found = [(sum(hits[:end]) / num_objects, sum(hits[:end]) / end) for end in range(1, len(hits) + 1)]
    return sum(max((p for r, p in found if r >= step / 100), default=0) for step in range(101)) / 1.01


def test_what_each_kind_costs_against_a_plain_loop(files):
    whole, gains = analyse_errors(*files)
    assert whole == pytest.approx(precision([0, 1, 0, 0, 1, 1], 4))
    assert gains == pytest.approx(
        {
            "duplicate": precision([0, 1, 0, 1, 1], 4) - whole,
            "loose box": precision([0, 1, 0, 1, 1], 4) - whole,
            "background": precision([1, 0, 0, 1, 1], 4) - whole,
            "missed object": precision([0, 1, 0, 0, 1, 1], 3) - whole,
        }
    )


def test_classes_that_the_detector_does_not_know_do_not_count(files):
    truth_file, found_file = files
    truth = json.loads(truth_file.read_text())
    truth["categories"].append(dict(id=2, name="bolt"))
    truth["annotations"].append(item(2, [80, 10, 20, 20], category=2, id=5, area=400, iscrowd=0))
    expected = analyse_errors(*files)
    truth_file.write_text(json.dumps(truth))
    assert analyse_errors(*files) != expected
    assert analyse_errors(*files, classes=["part"]) == expected
    with pytest.raises(UserError, match="has no class nut; it has part, bolt"):
        analyse_errors(*files, classes=["nut"])


def test_detections_of_another_set_are_refused(files, tmp_path):
    truth_file, found_file = files
    found_file.write_text(json.dumps([*DETECTIONS[:-1], {**DETECTIONS[0], "domain": "day"}]))
    with pytest.raises(UserError, match="holds detections of day, night; say whose with `domain`"):
        analyse_errors(truth_file, found_file)
    found_file.write_text(json.dumps([{**DETECTIONS[0], "image_id": 7}]))
    with pytest.raises(UserError, match="has detections of image 7, which is not in"):
        analyse_errors(truth_file, found_file)
    found_file.write_text(json.dumps(dict(images=[])))
    with pytest.raises(UserError, match="is no list of COCO detections"):
        analyse_errors(truth_file, found_file)


def test_the_command_prints_each_kind_and_knows_domains(files, capsys):
    run([*files, "--domain", "night"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mAP50 ") and len(lines) == 5
    with pytest.raises(UserError, match="no detections of domain 'fog'"):
        run([*files, "--domain", "fog"])


def test_every_object_of_a_full_picture_can_be_found(tmp_path):
    objects = [item(1, [20 * (n % 20), 20 * (n // 20), 15, 15], id=n + 1, area=225, iscrowd=0) for n in range(300)]
    truth = dict(images=[dict(id=1, file_name="a.png", width=400, height=400)], annotations=objects)
    (tmp_path / "truth.json").write_text(json.dumps(truth | dict(categories=[dict(id=1, name="part")])))
    found = [item(1, entry["bbox"], 0.9) for entry in objects]
    (tmp_path / "found.json").write_text(json.dumps(found))
    whole, gains = analyse_errors(tmp_path / "truth.json", tmp_path / "found.json")
    assert whole == pytest.approx(100) and set(gains.values()) == {0.0}
