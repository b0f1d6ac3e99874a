"""The check on the smallest inputs that once went wrong without a word."""

import json

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from ms2a.datasets.annotations import read_coco
from ms2a.datasets.check.cache import PictureCache
from ms2a.datasets.check.files import equal_files
from ms2a.datasets.check.sets import Options, check_folder, check_set


def write_picture(path, size_wh=(96, 64), dtype=np.uint8, largest=255, seed=0, orientation=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, largest, (*size_wh[::-1], 3)).astype(dtype)
    pixels[0, 0] = largest
    if orientation == 1:
        cv2.imwrite(str(path), pixels)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(pixels).save(path, exif=exif)


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        write_picture(tmp_path / "images" / f"{number}.png", seed=number)
    return tmp_path / "images"


def coco_of(*boxes, size_wh=(96, 64), files=None, **more):
    """One box a picture, of class part."""
    files = files or [f"{number}.png" for number in range(len(boxes))]
    images = [dict(id=number, file_name=name, width=size_wh[0], height=size_wh[1]) for number, name in enumerate(files)]
    annotations = [
        dict(id=number + 1, image_id=number, category_id=1, bbox=list(box), iscrowd=0, **more)
        for number, box in enumerate(boxes)
    ]
    return dict(images=images, annotations=annotations, categories=[dict(id=1, name="part")])


def lines(checked, severity):
    return [finding.line() for finding in checked.findings if finding.severity == severity]


def boxes(checked):
    return [annotation["bbox"] for annotation in checked.coco["annotations"]]


BOX = (10, 10, 30, 20)


def test_a_sound_set_is_left_alone(folder):
    coco = coco_of(BOX, BOX, area=600)
    before = json.dumps(coco)
    checked = check_set(coco, folder, name="train")
    assert not checked.changed and not checked.findings and json.dumps(checked.coco) == before
    assert checked.summary() == (
        "train: 2 pictures; 2 boxes (part 2); 0 crowd; 0 dropped; 0 clipped; 0 merged; sizes 96x64 (2); "
        "pixels counted from 0"
    )


@pytest.mark.parametrize("stated_wh", [(600, 1000), (192, 128), (64, 96)])
def test_another_size_than_the_pictures_is_refused(folder, stated_wh):  # row 1
    checked = check_set(coco_of(BOX, BOX, BOX, size_wh=stated_wh), folder)
    assert lines(checked, "error") == [
        "pictures of another size than their annotations state: 3 (e.g. 0.png: {}x{} stated, 96x64 in the file); "
        "give the pictures that were annotated, or annotations of these pictures".format(*stated_wh)
    ]


def test_a_size_that_misses_by_a_pixel_is_put_right(folder):
    checked = check_set(coco_of(BOX, size_wh=(97, 64)), folder)
    assert not checked.has("error") and checked.coco["images"][0]["width"] == 96 and checked.changed


@pytest.mark.parametrize("missing", [None, 0, "absent"])
def test_a_missing_size_is_read_from_the_picture(folder, missing):  # row 13
    coco = coco_of(BOX)
    coco["images"][0].update(width=missing, height=missing)
    if missing == "absent":
        coco["images"][0] = dict(id=0, file_name="0.png")
    checked = check_set(coco, folder)
    assert (checked.coco["images"][0]["width"], checked.coco["images"][0]["height"]) == (96, 64)
    assert lines(checked, "note") == ["pictures without a stated size; it is read from the file: 1 (0.png)"]
    assert not checked.has("error", "warning")


def test_a_size_that_nothing_tells_leaves_the_picture_out(folder):  # row 13
    coco = coco_of(BOX, BOX, files=["0.png", "gone.png"])
    coco["images"][1].update(width=None)
    checked = check_set(json.loads(json.dumps(coco)), folder)
    assert checked.num_images == len(boxes(checked)) == checked.dropped == 1 and not checked.has("error")
    assert "pictures left out that state no size and whose file cannot be read, with 1 boxes: 1 (gone.png)" in "".join(
        lines(checked, "warning")
    )
    unseen = check_set(coco, None, Options(folder_option="--images"))
    assert "give --images, to read sizes from the pictures" in lines(unseen, "error")[0]


class TestRotation:
    """Row 2: a picture of 96x64 stored pixels that decoders turn upright, to 64x96."""

    STORED_BOX, UPRIGHT_BOX = [60, 10, 30, 20], [34, 60, 20, 30]

    @pytest.fixture
    def folder(self, tmp_path):
        for number in range(3):
            write_picture(tmp_path / f"{number}.jpg", seed=number, orientation=6)
        return tmp_path

    def check(self, folder, *boxes, size_wh, **options):
        files = [f"{number}.jpg" for number in range(len(boxes))]
        return check_set(coco_of(*boxes, size_wh=size_wh, files=files), folder, Options(**options))

    def test_boxes_in_stored_pixels_are_turned(self, folder):
        checked = self.check(folder, self.STORED_BOX, size_wh=(96, 64))
        assert boxes(checked) == [self.UPRIGHT_BOX] and not checked.has("error", "warning")
        assert lines(checked, "note") == [
            "pictures with a rotation tag, which every stage turns upright; their boxes fit the stored pixels and are "
            "turned with the picture: 1 (0.jpg)"
        ]
        assert (checked.coco["images"][0]["width"], checked.coco["images"][0]["height"]) == (64, 96)
        decoded = mmcv.imread(str(folder / "0.jpg"))
        assert decoded.shape[:2] == (96, 64)

    @pytest.mark.parametrize("size_wh", [(96, 64), (64, 96)])
    def test_boxes_in_upright_pixels_stay(self, folder, size_wh):
        checked = self.check(folder, self.UPRIGHT_BOX, size_wh=size_wh)
        assert boxes(checked) == [self.UPRIGHT_BOX] and not checked.has("error", "warning")
        assert (checked.coco["images"][0]["width"], checked.coco["images"][0]["height"]) == (64, 96)

    def test_the_set_tells_what_one_picture_does_not(self, folder):
        checked = self.check(folder, [5, 5, 20, 20], self.STORED_BOX, size_wh=(96, 64))
        assert boxes(checked) == [[39, 5, 20, 20], self.UPRIGHT_BOX]

    def test_what_cannot_be_told_is_refused_and_can_be_said(self, folder):
        checked = self.check(folder, [5, 5, 20, 20], size_wh=(96, 64))
        assert lines(checked, "error") == [
            "pictures with a rotation tag whose boxes fit both the stored and the upright pixels: 1 (0.jpg); say which "
            "with 'boxes_of: stored' or 'boxes_of: upright' (--boxes-of), or save the pictures without the tag"
        ]
        for boxes_of, expected in (("stored", [39, 5, 20, 20]), ("upright", [5, 5, 20, 20])):
            checked = self.check(folder, [5, 5, 20, 20], size_wh=(96, 64), boxes_of=boxes_of)
            assert boxes(checked) == [expected] and not checked.has("error")

    def test_two_ways_in_one_set_are_refused(self, folder):
        checked = self.check(folder, self.STORED_BOX, self.UPRIGHT_BOX, size_wh=(96, 64))
        assert "the boxes of 1 in stored pixels, of 1 in upright ones" in lines(checked, "error")[0]

    def test_what_was_settled_holds_for_a_part_of_the_set(self, folder):
        whole = self.check(folder, [5, 5, 20, 20], self.STORED_BOX, size_wh=(96, 64)).coco
        part = {**whole, "images": whole["images"][:1], "annotations": whole["annotations"][:1]}
        again = check_set(part, folder)
        assert boxes(again) == [[39, 5, 20, 20]] and not again.has("error") and not again.changed

    def test_a_photo_upside_down_follows_the_others_and_needs_them_once_only(self, folder):
        write_picture(folder / "0.jpg", orientation=3)
        assert self.check(folder, [5, 5, 20, 20], size_wh=(96, 64)).has("error")
        whole = self.check(folder, [5, 5, 20, 20], self.STORED_BOX, size_wh=(96, 64)).coco
        assert whole["annotations"][0]["bbox"] == [71, 39, 20, 20]
        part = {**whole, "images": whole["images"][:1], "annotations": whole["annotations"][:1]}
        again = check_set(part, folder)
        assert boxes(again) == [[71, 39, 20, 20]] and not again.has("error") and not again.changed


@pytest.mark.parametrize("value", ["0", 0.0, "0.0", False, "False", None, "Unspecified"])
def test_flags_are_read_by_value(folder, value):  # row 3
    checked = check_set(coco_of(BOX) | {"annotations": [coco_of(BOX)["annotations"][0] | {"iscrowd": value}]}, folder)
    assert (checked.boxes, checked.crowd) == ({"part": 1}, 0)
    assert not checked.has("error", "warning")


@pytest.mark.parametrize("flag", [dict(iscrowd=1), dict(iscrowd="true"), dict(ignore=1), dict(ignore="1")])
def test_a_set_of_nothing_but_crowd_is_refused(folder, flag):  # rows 3, 10
    coco = coco_of(BOX, BOX)
    for annotation in coco["annotations"]:
        annotation.update(flag)
    checked = check_set(coco, folder)
    assert checked.crowd == 2 and lines(checked, "error") == [
        "boxes, all of them crowd, difficult or ignored, so that nothing is left to be found: 2; "
        "set 'iscrowd', 'ignore' or 'difficult' to 0"
    ]


def test_a_class_of_nothing_but_crowd_is_told(folder):  # rows 3, 16
    coco = coco_of(BOX, BOX)
    coco["categories"] += [dict(id=2, name="bolt"), dict(id=3, name="nut")]
    coco["annotations"][1].update(category_id=2, iscrowd=1)
    checked = check_set(coco, folder)
    assert checked.boxes == {"part": 1, "bolt": 0, "nut": 0}
    assert lines(checked, "warning") == [
        "boxes of 'bolt', all of them crowd, difficult or ignored: 1",
        "classes without a box: 1 (nut)",
    ]


def test_nothing_but_crowd_is_refused_where_a_set_may_be_empty(folder):  # row 3
    assert check_set(coco_of(BOX, ignore=1), folder, Options(needs_boxes=False)).has("error")


def test_an_unknown_flag_is_told(folder):
    coco = coco_of(BOX)
    coco["annotations"][0]["iscrowd"] = "maybe"
    told = lines(check_set(coco, folder), "warning")
    assert told == ["values of 'iscrowd' that are neither yes nor no, taken for no: 1 ('maybe'); write 0 or 1"]


def test_ignore_means_a_region_that_is_not_counted(folder):  # row 10
    coco = coco_of(BOX, BOX)
    coco["annotations"][0]["ignore"] = 1
    checked = check_set(coco, folder)
    assert [(item.get("ignore"), item["iscrowd"]) for item in checked.coco["annotations"]] == [(None, 1), (None, 0)]


class TestDepth:
    """Row 5."""

    def check(self, tmp_path, largest, name="0.png", bit_depth=None):
        write_picture(tmp_path / name, dtype=np.uint16, largest=largest)
        return check_set(coco_of(BOX, files=[name]), tmp_path, Options(bit_depth=bit_depth))

    @pytest.mark.parametrize(("largest", "depth"), [(1023, 10), (4095, 12), (2500, 12), (200, 8), (16000, 14)])
    def test_few_bits_are_refused_with_a_proposal(self, tmp_path, largest, depth):
        checked = self.check(tmp_path, largest)
        assert checked.bit_depth == depth
        assert lines(checked, "error") == [
            f"pictures of 16 bits with at most {largest.bit_length()} in use: the network would see 0 to "
            f"{largest >> 8} of 255: 1 (the largest value of 1 looked at is {largest}, in 0.png); "
            f"give bit_depth: {depth} (16 leaves them as they are)"
        ]

    def test_stated_bits_and_full_range_are_fine(self, tmp_path):
        assert not self.check(tmp_path, 1023, bit_depth=10).findings
        assert not self.check(tmp_path, 65535).findings
        assert not self.check(tmp_path, 1023, bit_depth=16).findings

    def test_stated_bits_that_cut_are_told(self, tmp_path):
        assert "bit_depth: 10 cuts off" in lines(self.check(tmp_path, 4095, bit_depth=10), "warning")[0]

    def test_the_brightest_picture_of_the_folder_counts(self, tmp_path):
        for number, largest in enumerate((300, 4095, 300)):
            write_picture(tmp_path / f"{number}.tif", dtype=np.uint16, largest=largest)
        assert check_folder(tmp_path).bit_depth == 12

    @pytest.mark.parametrize(("dtype", "said"), [(np.float32, "floating-point"), (np.int32, "whole")])
    def test_wide_pixels_are_named(self, tmp_path, dtype, said):
        cv2.imwrite(str(tmp_path / "0.tif"), np.ones((64, 96), dtype))
        told = lines(check_set(coco_of(BOX, files=["0.tif"]), tmp_path), "error")
        assert told == [
            f"pictures of 32-bit {said} numbers, which are not read: 1 (0.tif); save them with 8 or 16 bits"
        ]


class TestEntries:
    """Row 6."""

    def test_one_entry_for_each_box_becomes_one_picture(self, folder):
        overlapping = [BOX, (12, 12, 30, 20), (50, 30, 20, 20)]
        checked = check_set(coco_of(*overlapping, files=["0.png", "./0.png", "0.png"]), folder)
        assert checked.num_images == 1 and checked.merged == 2 and not checked.has("error", "warning")
        assert sorted(boxes(checked)) == sorted(map(list, overlapping))
        assert {item["image_id"] for item in checked.coco["annotations"]} == {0}
        assert lines(checked, "note")[0] == "picture entries merged with another entry of the same file: 2 (e.g. 0.png)"

    def test_the_same_boxes_count_once(self, folder):
        checked = check_set(coco_of(BOX, BOX, files=["0.png", "./0.png"]), folder)
        assert checked.num_images == 1 and boxes(checked) == [list(BOX)]

    def test_entries_that_repeat_another_count_once_and_are_told(self, folder):
        """As of tools that list a picture, under one id, for each of its boxes."""
        coco = coco_of(BOX, (50, 30, 20, 20), files=["0.png", "1.png"])
        coco["annotations"][1]["image_id"] = 0
        coco["images"] += coco["images"][:1]
        coco["categories"] *= 2
        (folder / "a.json").write_text(json.dumps(coco))
        read = read_coco(folder / "a.json")
        checked = check_set(read, folder)
        assert checked.num_images == 2 and len(boxes(checked)) == 2 and checked.changed
        assert [len(checked.coco[key]) for key in ("images", "categories")] == [2, 1]
        assert lines(checked, "note")[0] == "entries that repeat another one word for word, counted once: 2"
        assert set(checked.coco) == {"images", "annotations", "categories"}

    def twice(self, *second):
        coco = coco_of(BOX, BOX, files=["0.png", "0.png"])
        first = [BOX, (50, 30, 20, 20)]
        coco["annotations"] = [
            dict(id=number, image_id=image_id, category_id=1, bbox=list(box))
            for number, (image_id, box) in enumerate([(0, box) for box in first] + [(1, box) for box in second])
        ]
        return coco

    def test_a_picture_annotated_twice_is_refused(self, folder):
        checked = check_set(self.twice((11, 10, 30, 20), (50, 31, 20, 20)), folder)
        assert lines(checked, "error") == [
            "pictures annotated twice with different boxes: 1 (0.png); leave one entry for each picture"
        ]

    def test_one_object_annotated_twice_is_refused(self, folder):
        """An entry of one box each may be a picture annotated twice, or one of two objects: most overlap, or few."""
        checked = check_set(coco_of(BOX, (11, 11, 30, 20), files=["0.png", "0.png"]), folder)
        assert "pictures annotated twice with different boxes: 1 (0.png)" in lines(checked, "error")[0]

    def test_a_box_that_stands_twice_in_one_entry_is_told(self, folder):
        coco = coco_of(BOX, BOX, (50, 30, 20, 20), files=["0.png", "1.png", "2.png"])
        coco["images"] = coco["images"][:1]
        for annotation in coco["annotations"]:
            annotation["image_id"] = 0
        checked = check_set(coco, folder)
        assert len(boxes(checked)) == 3
        assert lines(checked, "warning") == [
            "boxes that repeat another one of their picture: 1 (0.png); each counts as an object; leave one of each"
        ]

    def test_equal_boxes_of_two_classes_or_of_crowd_stay(self, folder):
        coco = coco_of(BOX, BOX, BOX)
        coco["images"], coco["categories"] = coco["images"][:1], [*coco["categories"], dict(id=2, name="nut")]
        for annotation, more in zip(coco["annotations"], ({}, {"category_id": 2}, {"iscrowd": 1}), strict=True):
            annotation.update(image_id=0, **more)
        checked = check_set(coco, folder)
        assert len(boxes(checked)) == 3 and not checked.findings

    def test_entries_of_different_objects_are_merged(self, folder):
        checked = check_set(self.twice((70, 2, 10, 10), (85, 2, 10, 10)), folder)
        assert len(boxes(checked)) == 4 and checked.num_images == 1


def test_the_limit_of_detections_is_compared_with_the_objects(tmp_path):  # row 7
    write_picture(tmp_path / "0.png", (400, 400))
    coco = coco_of(*[(20 * (n % 20), 20 * (n // 20), 15, 15) for n in range(300)], size_wh=(400, 400))
    coco["images"] = [dict(id=0, file_name="0.png", width=400, height=400)]
    for annotation in coco["annotations"]:
        annotation["image_id"] = 0
    checked = check_set(coco, tmp_path, Options(max_per_img=100))
    assert checked.most_objects == 300
    assert lines(checked, "warning") == [
        "pictures with more objects than the 100 detections that are kept of a picture: 1 (300 objects); "
        "set max_per_img=600"
    ]
    assert not check_set(coco, tmp_path, Options(max_per_img=600)).findings


class TestNetworkSize:
    """Row 8."""

    def check(self, tmp_path, *sides, size_hw=(320, 320)):
        write_picture(tmp_path / "0.jpg", (3000, 2000))
        coco = coco_of(*[(100 * n, 50, 2 * side, side) for n, side in enumerate(sides)], size_wh=(3000, 2000))
        coco["images"] = [dict(id=0, file_name="0.jpg", width=3000, height=2000)]
        for annotation in coco["annotations"]:
            annotation["image_id"] = 0
        return check_set(coco, tmp_path, Options(image_size_hw=size_hw))

    def test_a_set_of_which_no_box_is_left_is_refused(self, tmp_path):
        told = lines(self.check(tmp_path, *[5] * 15), "error")
        assert told == [
            "boxes (of 15, median 0.5 px) whose shorter side is under 1 px at image_size 320x320, so that none is "
            "left: 15; at image_size: [4800, 4800] nine of ten would have 8 px or more"
        ]

    def test_small_and_vanishing_boxes_are_counted(self, tmp_path):
        told = lines(self.check(tmp_path, 5, *[30] * 9), "warning")
        assert [line.partition("; ")[0] for line in told] == [
            "boxes (of 10, median 3.2 px) whose shorter side is under 1 px at image_size 320x320, which are not "
            "learned: 1",
            "boxes (of 10, median 3.2 px) whose shorter side is under 8 px at image_size 320x320: 10",
        ]

    def test_the_proposed_size_does(self, tmp_path):
        assert not self.check(tmp_path, *[5] * 15, size_hw=(4800, 4800)).findings


class TestCorners:
    """Row 9."""

    CORNERS = ((10, 10, 60, 50), (50, 20, 90, 60), (40, 5, 80, 30), (5, 5, 20, 20))

    def test_corners_that_leave_the_picture_are_asked_about(self, folder):
        told = lines(check_set(coco_of(*self.CORNERS), folder), "error")
        assert told == [
            "boxes of 4 that leave their picture as x, y, width, height, while as corners x1, y1, x2, y2 all fit: 2 "
            "(e.g. [50, 20, 90, 60]); which are they? write x, y, width, height, or say 'box_form: corners' "
            "(--box-form), or 'sizes'"
        ]

    def test_an_area_of_the_corners_is_asked_about(self, folder):
        told = lines(check_set(coco_of((5, 5, 20, 20), (10, 8, 25, 23), area=225), folder), "error")
        assert len(told) == 1 and "contradict their 'area'" in told[0]

    def test_the_answer_is_taken(self, folder):
        checked = check_set(coco_of(*self.CORNERS), folder, Options(box_form="corners"))
        assert boxes(checked)[0] == [10, 10, 50, 40] and not checked.has("error", "warning")
        again = check_set(checked.coco, folder, Options(box_form="corners"))
        assert boxes(again)[0] == [10, 10, 50, 40]
        checked = check_set(coco_of(*self.CORNERS), folder, Options(box_form="sizes"))
        assert boxes(checked)[1] == [50, 20, 46, 44] and not checked.has("error")

    def test_boxes_that_leave_are_not_all_corners(self, folder):
        checked = check_set(coco_of((60, 40, 50, 50), (70, 40, 50, 50)), folder)
        told = lines(checked, "warning")
        assert told == ["boxes clipped to their picture: 2 (e.g. [60, 40, 50, 50] of 0.png)"]
        assert not checked.has("error")


def test_copies_are_found_by_content(folder):  # row 11
    for number in range(1, 4):
        (folder / f"{number}.png").write_bytes((folder / "0.png").read_bytes())
    write_picture(folder / "other.png", seed=9)
    for checked in (check_folder(folder), check_set(coco_of(BOX, BOX, BOX, BOX), folder)):
        assert checked.copies == 3 and lines(checked, "warning") == [
            "pictures that are copies of another one of the set, byte for byte: 3 (e.g. 1.png is 0.png); "
            "they count several times; leave one of each"
        ]


@pytest.mark.parametrize(
    "name",
    [
        "../../data/upload/7/0.png",
        "images\\0.png",
        "http://server:8080/data/local/0.png?d=1",
        "/home/x/0.png",
        "upload/%30.png",
        "IMAGES/0.PNG",
        "http://[server/0.png",
    ],
)
def test_a_picture_is_found_by_the_last_part_of_its_name(folder, name):  # row 14
    checked = check_set(coco_of(BOX, files=[name]), folder)
    assert [image["file_name"] for image in checked.coco["images"]] == ["0.png"]
    assert not checked.has("error", "warning")
    assert lines(checked, "note")[0].startswith("picture names taken by their last part: 1")


def test_accents_are_written_in_two_ways(folder):  # row 14
    write_picture(folder / "pi\u00e8ce.png")
    assert check_set(coco_of(BOX, files=["pie\u0300ce.png"]), folder).coco["images"][0]["file_name"] == "pi\u00e8ce.png"


def test_the_folder_in_a_name_decides_between_two(folder):  # row 14
    write_picture(folder / "one/0.png")
    checked = check_set(coco_of(BOX, BOX, files=["C:\\set\\one\\0.png", "upload/0.png"]), folder)
    assert checked.coco["images"][0]["file_name"] == "one/0.png" and checked.missing == 1


@pytest.mark.parametrize("name", ["", ".", "a" * 300 + ".png", "a\0.png"])
def test_names_that_no_file_can_have(folder, name):  # row 14
    assert check_set(coco_of(BOX, BOX, files=["0.png", name]), folder).missing == 1


def test_missing_pictures_are_told_in_the_users_words(folder):  # row 14
    for name in ("one", "other"):
        write_picture(folder / name / "0.png")
    (folder / "0.png").unlink()
    options = Options(folder_option="'images' of target test", is_test=True)
    told = lines(check_set(coco_of(BOX, BOX, files=["upload/0.png", "1.png"]), folder, options), "error")
    assert told == [
        "pictures that do not exist, and a test needs all of its pictures: 1 (upload/0.png, which may be one/0.png or "
        f"other/0.png); set 'images' of target test, now {folder}, to the folder that the names start from"
    ]
    checked = check_set(coco_of(BOX, BOX, files=["upload/0.png", "1.png"]), folder)
    assert not checked.has("error") and checked.missing == 1
    assert lines(checked, "warning")[0].startswith("pictures that do not exist and are passed over in training: 1")


class TestForms:
    """Row 15."""

    def test_corners_are_ordered(self, folder):
        checked = check_set(coco_of((40, 30, -30, -20)), folder)
        assert boxes(checked) == [list(BOX)]
        assert lines(checked, "note")[0].startswith("boxes drawn from another corner than the upper left")

    @pytest.mark.parametrize(
        "shape",
        [
            [[10, 10, 40, 10, 40, 30, 10, 30]],
            [[10, 10, 20, 10, 20, 30], [40, 30, 20, 20, 25, 12]],
            dict(size=[64, 96], counts=[10 * 64 + 10] + [20, 44] * 29 + [20, 96 * 64 - 39 * 64 - 30]),
        ],
    )
    def test_polygons_and_masks_get_their_box(self, folder, shape):
        coco = coco_of(BOX)
        coco["annotations"][0] = dict(id=1, image_id=0, category_id=1, segmentation=shape)
        checked = check_set(coco, folder)
        assert boxes(checked) == [list(BOX)] and checked.dropped == 0
        assert lines(checked, "note")[0].startswith("objects drawn as polygons or masks")

    def test_a_box_of_zeros_beside_a_polygon_is_none(self, folder):
        coco = coco_of((0, 0, 0, 0), segmentation=[[10, 10, 40, 10, 40, 30]])
        assert boxes(check_set(coco, folder)) == [list(BOX)]

    def test_a_rotation_that_is_no_number_is_told(self, folder):
        checked = check_set(coco_of(BOX, attributes=dict(rotation="left")), folder)
        assert lines(checked, "warning")[0].startswith("values of 'rotation' that are no number")

    @pytest.mark.parametrize(
        "stated",
        [
            dict(attributes=dict(rotation=90.0)),
            dict(attributes=dict(rotation="90")),
            dict(attributes=[dict(name="rotation", value=90)]),
            dict(rotation=-90),
        ],
    )
    def test_rotated_boxes_are_enclosed(self, folder, stated):
        coco = coco_of((30, 20, 30, 20), **stated)
        checked = check_set(coco, folder)
        np.testing.assert_allclose(boxes(checked), [[35, 15, 20, 30]])
        assert lines(checked, "note")[0].startswith("rotated boxes; the upright box around each is taken: 1 (")
        again = check_set(checked.coco, folder)
        np.testing.assert_allclose(boxes(again), [[35, 15, 20, 30]])


@pytest.mark.parametrize("ids", [("a", "b"), (3, 3), (0, 1), (None, 2)])
def test_ids_are_renumbered(folder, ids):  # row 19
    coco = coco_of(BOX, BOX)
    for annotation, number in zip(coco["annotations"], ids, strict=True):
        annotation["id"] = number
    checked = check_set(coco, folder)
    assert [annotation["id"] for annotation in checked.coco["annotations"]] == [1, 2] and checked.changed


def test_nothing_is_read_twice(folder, monkeypatch):
    coco = coco_of(BOX, BOX)
    first = check_set(coco, folder)
    monkeypatch.setattr("ms2a.datasets.check.files.read_header", lambda path: pytest.fail(f"{path} is read again"))
    assert check_set(coco, folder).sizes_wh == first.sizes_wh
    monkeypatch.undo()
    write_picture(folder / "1.png", (60, 40))
    assert check_set(coco, folder).has("error")


@pytest.mark.parametrize("name", ["difficult", "is_crowd", "ignore"])
def test_flags_among_attributes_count(folder, name):
    coco = coco_of(BOX, BOX)
    coco["annotations"][0]["attributes"] = {name: "true"}
    checked = check_set(coco, folder)
    assert (checked.crowd, checked.boxes) == (1, {"part": 1})


def test_files_that_are_equal_in_part_are_told_apart(tmp_path):
    content = bytes(50_000)
    for name, position in (("a", 0), ("b", 20_000), ("c", 49_999), ("d", 0), ("e", 20_001)):
        (tmp_path / name).write_bytes(content[:position] + b"x" + content[position + 1 :])
    paths = [tmp_path / name for name in "abcde"]
    with PictureCache(tmp_path) as cache:
        assert equal_files([*paths, tmp_path / "none", paths[0]], cache) == [[paths[0], paths[3]]]


def test_processes_share_the_cache_and_none_waits(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    with PictureCache(tmp_path) as one, PictureCache(tmp_path) as other:
        assert one.fact(tmp_path / "a", "kind", lambda _: [1]) == [1]
        assert other.fact(tmp_path / "a", "kind", lambda _: [2]) == [2]
        assert one.fact(tmp_path / "a", "kind", lambda _: pytest.fail("found twice")) == [1]
    with PictureCache(tmp_path) as cache:
        assert cache.fact(tmp_path / "a", "kind", lambda _: pytest.fail("not kept")) == [1]
    (tmp_path / "pictures.sqlite").write_bytes(b"no database at all, but as long as one has to be for its header" * 20)
    with PictureCache(tmp_path) as cache:
        assert cache.fact(tmp_path / "a", "kind", lambda _: [3]) == [3]
