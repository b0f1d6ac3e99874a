import json
import logging

import cv2
import numpy as np
import pytest
from mmdet.datasets import build_dataloader, build_dataset
from PIL import Image

from ms2a.datasets import DomainCocoDataset
from ms2a.errors import UserError
from tests.tiny import make_coco

TRAIN = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
TEST = [dict(type="LoadImageFromFile")]
CLASSES = ("nut", "bolt")


@pytest.fixture
def ann_file(tmp_path):
    return make_coco(tmp_path / "data", n_images=4, classes=CLASSES)


def config_of(ann_file, **changes):
    defaults = dict(classes=CLASSES, img_prefix=str(ann_file.parent / "images"), pipeline=TRAIN, domain="factory")
    return dict(type="DomainCocoDataset", ann_file=str(ann_file), **{**defaults, **changes})


def build(ann_file, **changes) -> DomainCocoDataset:
    return build_dataset(config_of(ann_file, **changes))


def edit(ann_file, change) -> None:
    coco = json.loads(ann_file.read_text())
    change(coco)
    ann_file.write_text(json.dumps(coco))


def test_domain_travels_with_the_image(ann_file):
    meta = dict(type="Collect", keys=["img"], meta_keys=("filename", "domain"))
    dataset = build(ann_file, pipeline=[*TRAIN, dict(type="DefaultFormatBundle"), meta])
    assert dataset[0]["img_metas"].data["domain"] == "factory"
    tested = build(ann_file, pipeline=[*TEST, dict(type="DefaultFormatBundle"), meta], test_mode=True)
    assert tested[0]["img_metas"].data["domain"] == "factory"


def test_box_only_annotations_without_area_and_iscrowd(ann_file):
    with_all = build(ann_file)[0]["gt_bboxes"]
    edit(
        ann_file,
        lambda coco: [annotation.pop(key) for annotation in coco["annotations"] for key in ("area", "iscrowd")],
    )
    np.testing.assert_array_equal(build(ann_file)[0]["gt_bboxes"], with_all)


def test_bad_boxes_are_clipped_or_dropped_with_one_warning(ann_file, caplog):
    def change(coco):
        coco["annotations"] = [
            dict(id=1, image_id=1, category_id=1, bbox=[-10, 5, 30, 20], area=600, iscrowd=0),
            dict(id=2, image_id=1, category_id=1, bbox=[500, 5, 30, 20], area=600, iscrowd=0),
            dict(id=3, image_id=1, category_id=1, bbox=[5, 5, 0, 20], area=0, iscrowd=0),
        ]

    edit(ann_file, change)
    with caplog.at_level(logging.WARNING):
        dataset = build(ann_file)
    told = [record.message.partition("json: ")[2] for record in caplog.records]
    assert told == [
        "boxes clipped to their picture: 1 ([-10, 5, 30, 20] of 001.png)",
        "boxes dropped: outside their picture, malformed or under one pixel: 2 (e.g. [500, 5, 30, 20] of 001.png)",
        "classes without a box: 1 (bolt)",
    ]
    np.testing.assert_array_equal(dataset[0]["gt_bboxes"], [[0, 5, 20, 25]])


def test_a_subset_of_annotated_images_with_boxes_of_the_classes(ann_file):
    def change(coco):
        boxes_of = {1: 1, 2: 1, 3: 2}  # images 1 and 2 have a nut each, 3 a bolt, 4 nothing
        coco["annotations"] = [
            dict(id=image_id, image_id=image_id, category_id=category, bbox=[5, 5, 30, 20], area=600, iscrowd=0)
            for image_id, category in boxes_of.items()
        ]

    edit(ann_file, change)
    drawn = [build(ann_file, classes=("nut",), filter_empty_gt=False, num_images=1, split_seed=s) for s in range(9)]
    assert {len(dataset) for dataset in drawn} == {1}
    assert {dataset.data_infos[0]["id"] for dataset in drawn} == {1, 2}
    every = build(ann_file, classes=("nut",), filter_empty_gt=False, num_images=64)
    assert [info["id"] for info in every.data_infos] == [1, 2]
    assert [len(every[index]["gt_labels"]) for index in range(2)] == [1, 1]


def test_labels_follow_the_classes_not_the_file(ann_file):
    names = {category["id"]: category["name"] for category in json.loads(ann_file.read_text())["categories"]}
    annotations = [a for a in json.loads(ann_file.read_text())["annotations"] if a["image_id"] == 1]
    for classes in (("nut", "bolt"), ("bolt", "nut"), ("bolt",)):
        dataset = build(ann_file, classes=classes, filter_empty_gt=False)
        expected = [classes.index(names[a["category_id"]]) for a in annotations if names[a["category_id"]] in classes]
        assert dataset[0]["gt_labels"].tolist() == expected


def perfect_results(dataset) -> list:
    results = []
    for index in range(len(dataset)):
        info = dataset.get_ann_info(index)
        scored = np.concatenate([info["bboxes"], np.ones((len(info["bboxes"]), 1))], axis=1).astype(np.float32)
        results.append([scored[info["labels"] == label] for label in range(len(dataset.CLASSES))])
    return results


@pytest.mark.parametrize("classes", [("nut", "bolt"), ("bolt", "nut")])
def test_classwise_table_names_the_right_class(ann_file, classes, capsys):
    dataset = build(ann_file, classes=classes, test_mode=True, pipeline=TEST)
    results = perfect_results(dataset)
    nut = classes.index("nut")
    for result in results:
        result[nut] = result[nut][:0]
    scores = dataset.evaluate(results, classwise=True)
    assert scores["bbox_mAP"] == pytest.approx(0.5, abs=1e-3)
    row = next(line for line in capsys.readouterr().out.splitlines() if "bolt" in line)
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    assert dict(zip(cells[::2], cells[1::2], strict=True)) == {"nut": "0.000", "bolt": "1.000"}


def test_no_detection_at_all_scores_zero(ann_file):
    dataset = build(ann_file, test_mode=True, pipeline=TEST)
    empty = [[np.zeros((0, 5), np.float32)] * 2 for _ in range(len(dataset))]
    assert dataset.evaluate(empty)["bbox_mAP"] == 0.0


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(ann_file="missing.json"), "missing.json does not exist"),
        (dict(img_prefix="/nowhere"), "image folder that does not exist.*/nowhere"),
        (dict(classes=("nut", "gear")), r"'gear'.*\['nut', 'gear'\].*\['nut', 'bolt'\]"),
        (dict(classes="nut"), "classes='nut' is taken for a text file"),
    ],
)
def test_mistakes_are_explained(ann_file, changes, message):
    with pytest.raises(UserError, match=message):
        build_dataset({**config_of(ann_file), **changes})


def test_truncated_annotation_file(ann_file):
    ann_file.write_text(ann_file.read_text()[:200])
    with pytest.raises(UserError, match="truncated"):
        build(ann_file)


def test_no_images(ann_file):
    edit(ann_file, lambda coco: coco.update(images=[]))
    with pytest.raises(UserError, match="lists no images"):
        build(ann_file)


def test_no_image_with_boxes_of_the_classes(ann_file):
    edit(ann_file, lambda coco: coco.update(annotations=[]))
    with pytest.raises(UserError, match="no usable image: none of its 4 images"):
        build(ann_file)


def test_wrong_image_folder(ann_file, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=r"pictures that do not exist: 4 \(e.g. 001.png\); set img_prefix, now"):
        build(ann_file, img_prefix=str(tmp_path / "other"))


@pytest.mark.parametrize("spoil", [lambda content: b"", lambda content: b"no image", lambda content: content[:-200]])
def test_unreadable_image_is_skipped_in_training(ann_file, caplog, spoil):
    path = ann_file.parent / "images" / "001.png"
    path.write_bytes(spoil(path.read_bytes()))
    dataset = build(ann_file)
    np.random.seed(0)
    with caplog.at_level(logging.WARNING):
        names = {dataset[0]["ori_filename"] for _ in range(20)}
    assert names == {"002.png", "003.png", "004.png"}
    assert caplog.text.count("skipped unreadable image") == 1
    assert "001.png (1 so far)" in caplog.text
    with pytest.raises(UserError, match="001.png .* missing or unreadable"):
        build(ann_file, strict=True)[0]


def test_the_substitute_of_an_unreadable_image_may_be_of_another_orientation(ann_file):
    coco = json.loads(ann_file.read_text())
    coco["images"][2].update(width=64, height=96)
    ann_file.write_text(json.dumps(coco))
    (ann_file.parent / "images" / "003.png").unlink()
    dataset = build(ann_file)
    assert sorted(dataset.flag.tolist()) == [0, 1, 1, 1]
    assert {dataset[2]["ori_filename"] for _ in range(30)} == {"001.png", "002.png", "004.png"}


def test_a_set_without_a_box_is_told(ann_file, caplog):
    coco = json.loads(ann_file.read_text())
    for annotation in coco["annotations"]:
        annotation["bbox"] = [5, 5, 0.3, 0.3]
    ann_file.write_text(json.dumps(coco))
    build(ann_file, filter_empty_gt=False)
    assert "no box of any class: 1 (nut, bolt; 9 dropped)" in caplog.text


def test_an_unreadable_image_of_a_test_costs_its_own_detections_only(ann_file, caplog):
    path = ann_file.parent / "images" / "001.png"
    path.write_bytes(path.read_bytes()[:-200])  # its header is whole
    dataset = build(ann_file, test_mode=True, pipeline=TEST)
    assert dataset[1]["ori_filename"] == "002.png"
    assert dataset[0]["ori_filename"] == "001.png" and set(np.unique(dataset[0]["img"])) == {114}
    assert dataset[0]["img"].shape == dataset[1]["img"].shape
    assert "001.png, which counts as one without detections (1 so far)" in caplog.text
    found = [[np.ones((2, 5), np.float32), np.ones((1, 5), np.float32)] for _ in range(4)]
    assert [[len(boxes) for boxes in image] for image in dataset.without_skipped(found)] == [[0, 0]] + [[2, 1]] * 3
    for other in path.parent.iterdir():
        other.write_bytes(other.read_bytes()[:-200])
    dataset = build(ann_file, test_mode=True, pipeline=TEST)
    with pytest.raises(UserError, match="and so is every other image"):
        [dataset[index] for index in range(4)]


def test_training_stops_where_no_image_is_readable(ann_file):
    for path in (ann_file.parent / "images").iterdir():
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="every other image"):
        build(ann_file)[0]


def test_a_bug_in_the_pipeline_is_not_taken_for_an_unreadable_image(ann_file):
    dataset = build(ann_file, pipeline=[*TRAIN, dict(type="Mosaic")])
    with pytest.raises(AssertionError):
        dataset[0]


def test_loads_in_workers(ann_file):
    meta = dict(type="Collect", keys=["img", "gt_bboxes"], meta_keys=("domain",))
    dataset = build(ann_file, pipeline=[*TRAIN, dict(type="DefaultFormatBundle"), meta])
    loader = build_dataloader(dataset, samples_per_gpu=2, workers_per_gpu=1, dist=False)
    metas = [meta for batch in loader for meta in batch["img_metas"].data[0]]
    assert [meta["domain"] for meta in metas] == ["factory"] * 4


@pytest.fixture
def crowded(tmp_path):
    """One picture of 300 objects, and all of them as detections of mmdet's form."""
    coco = dict(images=[dict(id=1, file_name="a.png", width=400, height=400)], categories=[dict(id=1, name="part")])
    coco["annotations"] = [
        dict(id=n + 1, image_id=1, category_id=1, bbox=[20 * (n % 20), 20 * (n // 20), 15, 15]) for n in range(300)
    ]
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((400, 400, 3), np.uint8))
    (tmp_path / "a.json").write_text(json.dumps(coco))
    corners = [[x, y, x + width, y + height, 0.9] for x, y, width, height in (a["bbox"] for a in coco["annotations"])]
    return tmp_path / "a.json", [[np.array(corners, np.float32)]]


def test_every_object_of_a_full_picture_counts_in_every_score(crowded):
    ann_file, perfect = crowded
    config = dict(
        config_of(ann_file), classes=("part",), img_prefix=str(ann_file.parent), test_mode=True, pipeline=TEST
    )
    scores = build_dataset(config).evaluate(perfect)
    assert [scores[f"bbox_{name}"] for name in ("mAP", "mAP_50", "mAP_75", "mAP_s")] == [1.0] * 4
    half = [[perfect[0][0][:150]]]
    scores = build_dataset(config).evaluate(half)
    assert scores["bbox_mAP"] == scores["bbox_mAP_50"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("side", [20, 31])
def test_small_pictures_are_trained_on(tmp_path, side):
    make_coco(tmp_path / "small", size_hw=(side, 48))
    config = config_of(tmp_path / "small" / "annotations.json")
    assert len(build_dataset(dict(config, classes=("part",)))) == 4


def test_loading_processes_tell_each_unreadable_image_once(ann_file, tmp_path):
    """Over all workers and epochs: each epoch's workers are forked anew."""
    for name in ("001.png", "003.png"):
        (ann_file.parent / "images" / name).write_bytes(b"no image")
    meta = dict(type="Collect", keys=["img"], meta_keys=("domain",))
    dataset = build(ann_file, pipeline=[*TRAIN, dict(type="DefaultFormatBundle"), meta])
    handler = logging.FileHandler(tmp_path / "log")
    logger = logging.getLogger("mmdet")
    logger.addHandler(handler)
    try:
        for _ in range(3):
            loader = build_dataloader(dataset, samples_per_gpu=1, workers_per_gpu=2, dist=False)
            assert sum(len(batch["img_metas"].data[0]) for batch in loader) == 4
    finally:
        logger.removeHandler(handler)
    told = (tmp_path / "log").read_text()
    assert told.count("001.png") == told.count("003.png") == 1
    assert "(2 so far)" in told


@pytest.mark.parametrize("boxes_of", ["stored", "upright"])
def test_boxes_of_a_turned_photo_fit_what_is_trained_on_and_tested(tmp_path, boxes_of):
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[10:30, 60:90] = 255
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100)
    box = [60, 10, 30, 20] if boxes_of == "stored" else [34, 60, 20, 30]
    coco = dict(images=[dict(id=1, file_name="a.jpg", width=96, height=64)], categories=[dict(id=1, name="part")])
    coco["annotations"] = [dict(id="a text", image_id=1, category_id=1, bbox=box)]
    (tmp_path / "a.json").write_text(json.dumps(coco))
    config = config_of(tmp_path / "a.json", classes=("part",), img_prefix=str(tmp_path))
    trained = build_dataset(config)[0]
    rows, columns = np.nonzero(trained["img"][..., 0] > 128)
    white = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_array_equal(trained["gt_bboxes"], [white])
    perfect = [[np.array([[*white, 0.9]], np.float32)]]
    assert build_dataset(dict(config, test_mode=True, pipeline=TEST)).evaluate(perfect)["bbox_mAP"] == 1.0


def test_a_byte_order_mark_in_front_of_a_file_changes_nothing(ann_file, tmp_path):
    plain = build(ann_file)
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfnut\r\nbolt\r\n")
    ann_file.write_bytes(b"\xef\xbb\xbf" + ann_file.read_bytes())
    marked = build(ann_file, classes=str(tmp_path / "names.txt"))
    assert tuple(marked.CLASSES) == tuple(plain.CLASSES) and marked.data_infos == plain.data_infos
    np.testing.assert_array_equal(marked[0]["gt_bboxes"], plain[0]["gt_bboxes"])


def test_text_ids_are_evaluated_as_numbers_are(ann_file):
    def as_texts(coco):
        for key, entries in (("id", "images"), ("image_id", "annotations")):
            for entry in coco[entries]:
                entry[key] = f"picture {entry[key]}"

    def score():
        dataset = build(ann_file, test_mode=True)
        found = []
        for index in range(len(dataset)):
            info = dataset.get_ann_info(index)
            boxes = np.hstack([info["bboxes"], np.ones((len(info["bboxes"]), 1), np.float32)])
            found.append([boxes[info["labels"] == label] for label in range(len(CLASSES))])
        return dataset.evaluate(found, "bbox")["bbox_mAP"]

    before = score()
    edit(ann_file, as_texts)
    assert before == score() == 1.0
