"""A task's data are checked as a whole, and what is found reaches training, tests and drawings."""

import json
import shutil

import cv2
import numpy as np
import pytest
import yaml
from mmdet.datasets import build_dataset

from ms2a.cli.check import main as check
from ms2a.errors import UserError
from ms2a.pipeline.config_data import check_adaptation
from ms2a.pipeline.stages import BASE, SOURCE_TRAINING, TARGET_TRAINING, data_inputs
from ms2a.pipeline.task import adaptation_of, read_task
from tests.tiny import make_coco


@pytest.fixture
def task(tmp_path):
    for seed, name in enumerate(("a", "b", "b_test", "b_more")):
        make_coco(tmp_path / name, n_images=4, seed=seed)

    def entry(name):
        return dict(annotations=f"{name}/annotations.json", images=f"{name}/images")

    return dict(
        name="tiny",
        classes=["part"],
        image_size=[64, 96],
        source=dict(domain="line_a", train=entry("a")),
        target=dict(domain="line_b", train=entry("b"), unlabelled="b_more/images", test=entry("b_test")),
    )


@pytest.fixture
def load(tmp_path):
    told = []

    def load(task, **kwargs):
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
        told.clear()
        adaptation = adaptation_of(read_task(tmp_path / "task.yaml"), tmp_path / "work", say=told.append, **kwargs)
        return adaptation

    load.told = told
    return load


def edit(path, change):
    coco = json.loads(path.read_text())
    change(coco)
    path.write_text(json.dumps(coco))


def test_each_set_is_told_in_a_line_and_drawn(task, load, tmp_path):
    load(task)
    names = [line.partition(":")[0] for line in load.told[:4]]
    assert names == ["source train", "target train", "target test", "unlabelled pictures"]
    report = json.loads((tmp_path / "work" / "data_report.json").read_text())
    assert [part["images"] for part in report["sets"]] == [4, 4, 4, 4]
    sheet = cv2.imread(str(tmp_path / "work" / "data_target_test.jpg"))
    assert sheet.shape[1] == 4 * (480 + 4) and sheet.std() > 10
    before = (tmp_path / "work" / "data_target_test.jpg").stat().st_mtime_ns
    load(task)
    assert (tmp_path / "work" / "data_target_test.jpg").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_tested_picture_that_is_trained_on_is_refused(task, load, tmp_path, name):  # row 17
    shutil.copy(tmp_path / "b_test/images/002.png", tmp_path / name / "images/003.png")
    with pytest.raises(UserError, match=r"pictures of target test that .* train has too: 1 \(002.png is 003.png\)"):
        load(task)


def test_a_tested_picture_among_the_unlabelled_is_told(task, load, tmp_path):  # row 17
    task["target"]["unlabelled"] = "b_test/images"
    load(task)
    told = [line for line in load.told if "has too" in line]
    assert len(told) == 1 and told[0].startswith(
        "warning: pictures of target test that unlabelled pictures has too: 4 (e.g. 001.png)"
    )


class TestTooFewPictures:
    """Row 11: told before base training."""

    def copies(self, tmp_path, count):
        for number in range(2, count + 1):
            shutil.copy(tmp_path / "b_more/images/001.png", tmp_path / f"b_more/images/{number:03d}.png")

    def test_one_picture(self, task, load, tmp_path):
        for path in list((tmp_path / "b_more/images").iterdir())[1:]:
            path.unlink()
        with pytest.raises(UserError, match="different pictures in unlabelled pictures: 64 maps for 100 prototypes: 1"):
            load(task)

    def test_ten_copies_of_one_frame(self, task, load, tmp_path):
        self.copies(tmp_path, 10)
        with pytest.raises(UserError, match="64 maps for 100 prototypes"):
            load(task)
        assert any("copies of another one of the set, byte for byte: 9" in line for line in load.told)

    def test_fewer_than_colours(self, task, load):
        with pytest.raises(UserError, match="different pictures in unlabelled .*, fewer than num_colours=20: 4"):
            load(task, cfg_options={"colour_prob": 0.5})
        load(task, cfg_options={"colour_prob": 0.5, "num_colours": 4})


def test_classes_without_a_box_are_told_by_set(task, load, tmp_path):  # row 16
    task["classes"] = ["part", "bolt"]
    for name in ("a", "b", "b_test"):
        edit(tmp_path / name / "annotations.json", lambda coco: coco["categories"].append(dict(id=2, name="bolt")))
    edit(tmp_path / "a/annotations.json", lambda coco: coco["annotations"][0].update(category_id=2))
    load(task)
    assert load.told[0].startswith("source train: 4 pictures; ") and "bolt 1" in load.told[0]
    assert load.told.count("  warning: classes without a box: 1 (bolt)") == 2


def test_the_limit_of_detections_follows_the_data(task, load, tmp_path):  # row 7
    def fill(coco):
        box = dict(image_id=1, category_id=1)
        coco["annotations"] += [dict(box, id=1000 + n, bbox=[3 + n % 13, 3 + n // 13, 20, 20]) for n in range(130)]

    assert load(task).configs[TARGET_TRAINING].model.test_cfg.max_per_img == 100
    edit(tmp_path / "b_test/annotations.json", fill)
    configs = load(task).configs
    assert {configs[stage].model.test_cfg.max_per_img for stage in configs} == {300}
    assert any("note: max_per_img=300 detections of a picture are kept" in line for line in load.told)
    assert load(task, cfg_options={"max_per_img": 150}).configs[BASE].model.test_cfg.max_per_img == 150


def test_bits_are_asked_for_and_reach_every_stage(task, load, tmp_path):  # row 5
    for name in ("a", "b", "b_test", "b_more"):
        for path in (tmp_path / name / "images").iterdir():
            pixels = cv2.imread(str(path)).astype(np.uint16) * 4 + 3
            cv2.imwrite(str(path), pixels)
    with pytest.raises(UserError, match="16 bits with at most 10 in use: .* give bit_depth: 10"):
        load(task)
    configs = load(task | dict(bit_depth=10)).configs
    for dataset in (configs[BASE].data.train.dataset, configs[SOURCE_TRAINING].data.train.domains[1].dataset):
        # The file of the memory's colours is not there yet.
        pipeline = [step for step in dataset.pipeline if step["type"] != "MemoryColour"]
        assert build_dataset(dict(dataset, pipeline=pipeline))[0]["img"].max() > 100
    tested = configs[TARGET_TRAINING].data.test
    assert tested.pipeline[0] == dict(type="LoadPicture", bit_depth=10)
    assert cv2.imread(str(tmp_path / "work/data_target_test.jpg")).mean() > 60


def test_what_was_mended_is_what_is_trained_on(task, load, tmp_path):
    def spoil(coco):
        coco["images"][0].update(width=None, height=None, file_name="upload/7/001.png")
        coco["annotations"][0].update(bbox=[40, 30, -30, -20], id="x")

    edit(tmp_path / "a/annotations.json", spoil)
    ann_file = load(task).configs[BASE].data.train.dataset.ann_file
    coco = json.loads(open(ann_file).read())
    assert ann_file == str(tmp_path / "work/annotations/source_train.json")
    assert (coco["images"][0]["file_name"], coco["images"][0]["width"]) == ("001.png", 96)
    assert coco["annotations"][0]["bbox"] == [10, 10, 30, 20]


def test_steps_notice_replaced_pictures(task, load, tmp_path):
    config = load(task).configs[BASE]
    listed = data_inputs(config.data.train)[1]
    assert [path for _, path in listed.files()] == [tmp_path / f"a/images/00{n}.png" for n in (1, 2, 3, 4)]


class TestCommand:
    """``tools/check_data.py``."""

    def test_a_task(self, task, tmp_path, capsys):
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
        check([str(tmp_path / "task.yaml"), "--out", str(tmp_path / "out")])
        assert "target test: 4 pictures" in capsys.readouterr().out
        assert (tmp_path / "out/data_report.json").exists() and (tmp_path / "out/data_source_train.jpg").exists()
        assert not (tmp_path / "work").exists()

    def test_files_and_folders(self, task, tmp_path, capsys):
        files = [str(tmp_path / "a/annotations.json"), str(tmp_path / "b_more/images")]
        check([*files, "--out", str(tmp_path / "out"), "--image-size", "64", "96"])
        out = capsys.readouterr().out
        assert f"{files[0]}: 4 pictures; " in out and f"{files[1]}: 4 pictures; sizes 96x64 (4)" in out
        assert len(list((tmp_path / "out").glob("*.jpg"))) == 2

    def test_warnings_count_if_asked(self, task, tmp_path):
        edit(tmp_path / "a/annotations.json", lambda coco: coco["annotations"][0].update(bbox=[90, 50, 30, 30]))
        arguments = [str(tmp_path / "a/annotations.json"), "--out", str(tmp_path / "out")]
        check(arguments)
        with pytest.raises(UserError, match="warnings count as errors here: .*boxes clipped to their picture: 1"):
            check([*arguments, "--strict"])

    def test_errors_stop_after_all_is_told(self, task, tmp_path, capsys):
        def spoil(coco):
            coco["images"][0].update(width=9)
            coco["images"][1].update(file_name="none.png")

        edit(tmp_path / "a/annotations.json", spoil)
        with pytest.raises(UserError, match="pictures of another size"):
            check([str(tmp_path / "a/annotations.json"), "--out", str(tmp_path / "out")])
        assert "pictures that do not exist" in capsys.readouterr().out
        assert (tmp_path / "out/data_report.json").exists()

    def test_a_list_of_yolo_names_is_no_task(self, task, tmp_path, capsys):
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels/001.txt").write_text("0 0.5 0.5 0.2 0.2")
        (tmp_path / "labels/data.yaml").write_text("names: [part]")
        options = ["--images", str(tmp_path / "a/images"), "--map", "part=nut", "--out", str(tmp_path / "out")]
        check([str(tmp_path / "labels/data.yaml"), *options])
        assert "1 boxes (nut 1)" in capsys.readouterr().out

    @pytest.mark.parametrize("options", [["--classes", "nut"], ["--first-pixel", "0"], ["--map", "a=b"]])
    def test_options_that_a_task_says_itself(self, task, tmp_path, options):
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
        with pytest.raises(UserError, match=f"{options[0]}: .*task.yaml says that itself"):
            check([str(tmp_path / "task.yaml"), *options])
        with pytest.raises(UserError, match="task.yaml says itself what its data are; check it alone"):
            check([str(tmp_path / "task.yaml"), str(tmp_path / "a/images")])

    def test_options_of_a_config_reach_a_task(self, task, tmp_path, capsys):
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
        arguments = [str(tmp_path / "task.yaml"), "--out", str(tmp_path / "out"), "--cfg-options"]
        with pytest.raises(UserError, match="maps for 9999 prototypes"):
            check([*arguments, "num_prototypes=9999"])
        with pytest.raises(UserError, match="--cfg-options are for a config or a task"):
            check([str(tmp_path / "a/annotations.json"), "--cfg-options", "image_size=64,96"])

    def test_a_damaged_picture_is_told_and_does_not_stop_the_sheet(self, task, tmp_path, capsys):
        path = tmp_path / "a/images/002.png"
        path.write_bytes(path.read_bytes()[:60])  # the header is whole
        check([str(tmp_path / "a/annotations.json"), "--out", str(tmp_path / "out")])
        told = "pictures that the sheet should show and that cannot be decoded: 1 (002.png)"
        assert told in capsys.readouterr().out and list((tmp_path / "out").glob("*.jpg"))

    def test_fewer_annotated_pictures_than_are_to_be_drawn(self, task, tmp_path):
        task["target"]["num_annotated"] = 5
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
        with pytest.raises(UserError, match="'num_annotated' of the target: 5; 5 annotated images asked for, but only"):
            check([str(tmp_path / "task.yaml"), "--out", str(tmp_path / "out")])


class TestConfig:
    """``ms2a check`` of a config (.py)."""

    @pytest.fixture
    def config(self, task, load, tmp_path):
        path = tmp_path / "config.py"
        path.write_text(load(task).configs[TARGET_TRAINING].pretty_text)
        return path

    def test_every_set_is_checked_once(self, config, tmp_path, capsys):
        check([str(config), "--out", str(tmp_path / "out")])
        names = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines() if " pictures; " in line]
        assert names == ["line_a train", "line_b train", "line_b test", "unlabelled pictures"]
        assert (tmp_path / "out/data_report.json").exists() and (tmp_path / "out/data_line_b_test.jpg").exists()

    def test_what_is_wrong_is_refused(self, config, tmp_path):
        edit(tmp_path / "b/annotations.json", lambda coco: coco["images"][0].update(width=9))
        shutil.copy(tmp_path / "b_test/images/002.png", tmp_path / "a/images/003.png")
        with pytest.raises(UserError, match=r"line_b train: pictures of another size.*line_b test that line_a train"):
            check([str(config), "--out", str(tmp_path / "out")])

    def test_a_base_config_without_a_target(self, task, load, tmp_path, capsys):
        config = load(task).configs[BASE]
        config.pop("target_domain")
        (tmp_path / "base.py").write_text(config.pretty_text)
        check([str(tmp_path / "base.py"), "--out", str(tmp_path / "out"), "--cfg-options", "seed=1"])
        assert "line_a train: 4 pictures" in capsys.readouterr().out

    def test_a_config_without_data(self, config, tmp_path):
        with pytest.raises(UserError, match="config.py names no annotation file in its 'data'"):
            check([str(config), "--cfg-options", *(f"data.{part}._delete_=True" for part in ("train", "val", "test"))])


def test_a_listed_picture_without_xml_is_empty(task, load, tmp_path):  # row 12
    (tmp_path / "xml/deep").mkdir(parents=True)
    box = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>"
    for name in ("001", "003"):
        content = f"<annotation><filename>{name}.png</filename><object><name>part</name>{box}</object></annotation>"
        (tmp_path / f"xml/deep/{name}.xml").write_text(content)
    (tmp_path / "train.txt").write_text("001\n002 1\n")
    task["target"]["train"] |= dict(annotations="xml", list="train.txt")
    options = load(task).configs[TARGET_TRAINING].target_train
    coco = json.loads(open(options.ann_file).read())
    assert [image["file_name"] for image in coco["images"]] == ["001.png", "002.png"]
    assert [annotation["bbox"] for annotation in coco["annotations"]] == [[0, 0, 30, 20]]
    told = "\n".join(load.told)
    assert "VOC pixels counted from 0 (2 of 2 corners lie below 1 and 0 at 1)" in told
    assert "pictures listed that have no XML file, taken for empty: 1 (002.png)" in told


def test_the_data_of_configs_are_checked_too(task, load, tmp_path):
    adaptation = load(task)
    report = check_adaptation(adaptation)
    names = ["line_a train", "line_b train", "line_b test", "unlabelled pictures"]
    assert [checked.name for checked in report.sets] == names and not report.told("error")
    shutil.copy(tmp_path / "b_test/images/002.png", tmp_path / "a/images/003.png")
    edit(tmp_path / "b/annotations.json", lambda coco: coco["images"][0].update(width=9))
    with pytest.raises(
        UserError, match=r"line_b train: pictures of another size.*line_b test that line_a train has too"
    ):
        check_adaptation(adaptation).refuse()
