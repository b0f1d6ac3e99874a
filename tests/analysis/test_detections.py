import numpy as np

from ms2a.analysis.detections import draw_detections

IMAGE = np.full((500, 600, 3), 90, np.uint8)


def detections(*boxes):
    return [np.array(boxes, dtype=np.float32).reshape(-1, 5), np.zeros((0, 5), np.float32)]


def changed(picture):
    return np.argwhere((picture != IMAGE).any(axis=2))


def test_weak_detections_and_the_image_itself_are_left_alone():
    picture = draw_detections(IMAGE, detections([10, 10, 50, 50, 0.29]), ["bolt", "nut"], score_thr=0.3)
    assert np.array_equal(picture, IMAGE) and picture is not IMAGE


def test_box_and_label_are_drawn_where_the_detection_is():
    picture = draw_detections(IMAGE, detections([200, 300, 400, 450, 0.9]), ["bolt", "nut"])
    rows, columns = changed(picture).T
    assert 200 - 2 <= columns.min() and columns.max() <= 400 + 2
    assert 300 - 25 <= rows.min() < 300 and rows.max() <= 450 + 2
    assert not (picture[320:440, 220:380] != IMAGE[320:440, 220:380]).any()  # the object stays visible


def test_labels_stay_inside_the_image():
    picture = draw_detections(IMAGE, detections([570, 0, 599, 20, 0.9], [-5, -5, 40, 30, 0.8]), ["connector", "nut"])
    assert picture.shape == IMAGE.shape
    rows, columns = changed(picture).T
    # The plate of the right one is wider than its box: it moves to the left, and below the upper edge.
    assert columns[(columns > 300)].min() < 560 and rows.max() < 60


def test_small_images_are_enlarged_by_a_whole_factor():
    assert draw_detections(IMAGE[:60, :100], detections([10, 10, 50, 50, 0.9]), ["bolt", "nut"]).shape == (300, 500, 3)


def test_the_ground_truth_has_no_scores():
    box = detections([200, 300, 400, 450, 1.0])
    ends = []
    for with_scores in (True, False):
        picture = draw_detections(IMAGE, box, ["bolt", "nut"], with_scores=with_scores)
        picture[299:] = 90  # leaves the label
        ends.append(changed(picture)[:, 1].max())
    assert ends[0] > ends[1] > 200


def test_in_a_small_picture_that_is_enlarged_boxes_are_enlarged_too():
    image = np.zeros((48, 80, 3), np.uint8)
    drawn = draw_detections(image, [np.float32([[30, 20, 60, 40, 0.9]])], ["part"], with_scores=False)
    assert drawn.shape == (48 * 6, 80 * 6, 3)
    rows, columns = (np.flatnonzero(drawn.any(axis=(axis, 2))) for axis in (1, 0))
    assert abs(columns.min() - 30 * 6) <= 3 and abs(columns.max() - 60 * 6) <= 3
    assert abs(rows.max() - 40 * 6) <= 3
