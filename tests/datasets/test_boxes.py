"""Forms of a box."""

from ms2a.datasets.boxes import as_xywh, as_xyxy


def test_edges_become_left_top_width_height_and_back():
    assert as_xywh((1, 2, 4.5, 9)) == [1, 2, 3.5, 7]
    assert as_xyxy([1, 2, 3.5, 7]) == [1, 2, 4.5, 9]
