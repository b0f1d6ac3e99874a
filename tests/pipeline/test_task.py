"""Task files: a user's own data become the configs of all stages, mistakes one clear line."""

import argparse
import json
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from mmdet.datasets import build_dataset

from ms2a.cli import COMMANDS
from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.pipeline.data import check_task, prepare_files
from ms2a.pipeline.stages import BASE, SOURCE_TRAINING, TARGET_TRAINING, steps_of, write_configs
from ms2a.pipeline.task import adaptation_of, read_task
from tests.tiny import make_coco
from tests.tiny_annotations import boxes_of, write_as

VOC = """<annotation><filename>{name}</filename><size><width>96</width><height>64</height><depth>3</depth></size>
<object><name>part</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object>
</annotation>"""


@pytest.fixture
def task(tmp_path):
    for name in ("a", "a_val", "b", "b_test"):
        make_coco(tmp_path / name, n_images=6, seed=len(name))

    def entry(name):
        return dict(annotations=f"{name}/annotations.json", images=f"{name}/images")

    return dict(
        name="tiny",
        classes=["part"],
        image_size=[64, 96],
        source=dict(domain="line_a", train=entry("a"), val=entry("a_val")),
        target=dict(domain="line_b", train=entry("b"), unlabelled="b/images", test=entry("b_test")),
    )


@pytest.fixture
def load(tmp_path):
    def load(task, **kwargs):
        load.file = tmp_path / "task.yaml"
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
        return adaptation_of(read_task(tmp_path / "task.yaml"), tmp_path / "work", **kwargs)

    return load


def test_every_stage_knows_the_data(task, load, tmp_path):
    adaptation = load(task | {"epochs": {"base": 9}})
    base, source_training, target_training = (
        adaptation.configs[stage] for stage in (BASE, SOURCE_TRAINING, TARGET_TRAINING)
    )
    assert (adaptation.source, adaptation.target) == ("line_a", "line_b")
    assert base.runner.max_epochs == 9
    assert base.data.train.dataset.ann_file == str(tmp_path / "a" / "annotations.json")
    assert [part.dataset.domain for part in source_training.data.train.domains] == ["line_a", "line_b"]
    assert source_training.load_from.endswith("work/base/latest.pth")
    assert target_training.load_from.endswith("work/source_training/latest.pth")
    assert target_training.model.adapter.memory.sizes_hw == [(8, 12), (4, 6), (2, 3)]
    assert target_training.model.adapter.memory.files is None
    assert [part.domain for part in target_training.data.test.datasets] == ["line_b", "line_a"]
    assert target_training.model.input_size == (64, 96)


def test_steps_are_the_documented_commands(task, load, tmp_path):
    adaptation = load(task, device="cpu")
    write_configs(adaptation)
    steps = {step.name: step.command for step in steps_of(adaptation)}
    assert {tuple(command[:2]) for command in steps.values()} == {("-m", "ms2a.cli")}
    names = [command[2] for command in steps.values()]
    assert names == "train extract extract cluster train train test test detect".split()
    assert set(names) <= set(COMMANDS)
    assert str((tmp_path / "b" / "images").resolve()) in steps["extract_line_b"]
    for name, command in steps.items():
        parser = argparse.ArgumentParser(exit_on_error=False)
        import_module(f"ms2a.cli.{command[2]}").add_arguments(parser)
        assert parser.parse_args(command[3:]).device == "cpu", name
    assert all(command[-2:] == ["--device", "cpu"] for command in steps.values())
    base_detector, adapted = (load_config(steps[f"test_{name}"][3]) for name in ("source_only", TARGET_TRAINING))
    assert [part.domain for part in base_detector.data.test.datasets] == ["line_b", "line_a"]
    assert "adapter" in adapted.model and "adapter" not in base_detector.model


def test_a_recipe_is_one_word(task, load):
    said, found = [], {}
    for recipe in (None, "released", "best"):
        adaptation = load(task | ({"recipe": recipe} if recipe else {}), weights="none", say=said.append)
        base, *stages = (adaptation.configs[stage] for stage in (BASE, SOURCE_TRAINING, TARGET_TRAINING))
        found[recipe] = [(cfg.model.adapter.zero_init, cfg.colour_prob, cfg.num_colours) for cfg in stages]
        assert "colour_prob" not in base and "zero_init" not in base  # no recipe trains the base anew
        names = [step.name for step in steps_of(adaptation)]
        assert ("cluster_colours" in names) == (recipe == "best")
    assert found == {None: [(False, 0.0, 20)] * 2, "released": [(False, 0.0, 20)] * 2, "best": [(True, 0.8, 6)] * 2}
    assert "recipe best: num_colours=6 instead of 20, by the number of unlabelled pictures" in said


def test_without_the_module_stage_one_makes_what_is_left(task, load):
    options = {"model.adapter": None, "model.foreground": None}
    for colour_prob, expected in ((0.8, ["extract_colour_line_b", "cluster_colours"]), (0.0, [])):
        adaptation = load(task, cfg_options=options | {"colour_prob": colour_prob, "num_colours": 2})
        write_configs(adaptation)
        names = [step.name for step in steps_of(adaptation)]
        assert names[names.index(BASE) + 1 : names.index(SOURCE_TRAINING)] == expected
        for stage in (SOURCE_TRAINING, TARGET_TRAINING):
            config = load_config(adaptation.config_path(stage))
            assert not config.model.adapter and not config.model.foreground
            recolour = config.data.train.domains[0].dataset.pipeline[-1]
            assert recolour.prob == colour_prob
            assert recolour.file.endswith("work/memory/line_b_colour_cluster.pth")


def test_one_picture_is_told_where_it_makes_a_memory(task, load, tmp_path):
    make_coco(tmp_path / "one", n_images=1)
    task["target"]["unlabelled"] = "one/images"
    for options, told in (({"num_prototypes": 8}, True), ({"model.adapter": None, "model.foreground": None}, False)):
        said = []
        load(task, cfg_options=options, say=said.append)
        assert ("a memory of one picture" in " ".join(map(str, said))) == told


def test_options_come_after_the_recipe_and_an_unknown_one_is_a_mistake(task, load):
    options = {"colour_prob": 0.3, "num_colours": 2}
    config = load(task | {"recipe": "best"}, cfg_options=options).configs[SOURCE_TRAINING]
    assert (config.model.adapter.zero_init, config.colour_prob, config.num_colours) == (True, 0.3, 2)
    with pytest.raises(UserError, match="'recipe' is 'newest', expected 'released' or 'best'"):
        load(task | {"recipe": "newest"})


def test_colours_are_made_where_training_wants_them(task, load, tmp_path):
    adaptation = load(task, cfg_options={"colour_prob": 0.5, "num_colours": 3})
    write_configs(adaptation)
    steps = {step.name: step for step in steps_of(adaptation)}
    assert list(steps)[1:7] == [
        *["extract_line_a", "extract_line_b", "cluster", "extract_colour_line_b", "cluster_colours"],
        "source_training",
    ]
    for stage in (SOURCE_TRAINING, TARGET_TRAINING):
        for domain in adaptation.configs[stage].data.train.domains:
            recolour = domain.dataset.pipeline[-1]
            assert (recolour.type, recolour.prob) == ("MemoryColour", 0.5)
            assert [recolour.file] == list(map(str, steps["cluster_colours"].outputs))


@pytest.mark.parametrize(
    "name", ["o'b", 'a"b\\', "line\nbreak", "${target_domain} {{ fileDirname }}", "', open('marker', 'w'), '"]
)
def test_any_name_of_folders_classes_and_tasks_reaches_every_stage_and_is_no_code(task, tmp_path, monkeypatch, name):
    folder = tmp_path / name
    for part in ("a", "a_val", "b", "b_test"):
        make_coco(folder / part, n_images=6, seed=len(part), classes=[name])
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (folder / "task.yaml").write_text(yaml.safe_dump(task | dict(name=name.replace(chr(92), ""), classes=[name])))
    adaptation = adaptation_of(read_task(folder / "task.yaml"))
    write_configs(adaptation)
    for stage, before in ((SOURCE_TRAINING, BASE), (TARGET_TRAINING, SOURCE_TRAINING)):
        config = load_config(adaptation.config_path(stage))
        assert config._cfg_dict == adaptation.configs[stage]._cfg_dict
        assert config.load_from == str(adaptation.checkpoint(before))
        assert config.memory_images.line_b.img == str(folder / "b" / "images")
        assert list(build_dataset(config.data.test).CLASSES) == [name]
    assert load_config(adaptation.config_path(SOURCE_TRAINING)).model.adapter.memory.files == {
        domain: str(adaptation.memory / f"{domain}_cluster.pth") for domain in ("line_a", "line_b")
    }
    assert list((tmp_path / "cwd").iterdir()) == [tmp_path / "cwd" / "work_dirs"]  # no marker


def test_voc_annotations_and_a_seeded_draw(task, load, tmp_path):
    (tmp_path / "xml").mkdir()
    for path in (tmp_path / "b" / "images").iterdir():
        (tmp_path / "xml" / f"{path.stem}.xml").write_text(VOC.format(name=path.name))
    task["target"]["train"]["annotations"] = "xml"
    task["target"]["num_annotated"] = 2
    drawn = {}
    for seed in (0, 1):
        options = load(task, seed=seed).configs[TARGET_TRAINING].target_train
        coco = json.loads(open(options.ann_file).read())
        assert [annotation["bbox"] for annotation in coco["annotations"]] == [[10, 10, 30, 20]] * 2
        drawn[seed] = [image["file_name"] for image in coco["images"]]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("kind", ["coco", "voc", "yolo", "labelme", "cvat", "kitti"])
def test_annotations_of_any_format(task, load, tmp_path, kind):
    coco = json.loads((tmp_path / "b" / "annotations.json").read_text())
    if kind != "coco":
        write_as(kind, coco, tmp_path / kind)
        task["target"]["train"] |= {"annotations": kind, "format": kind}
    options = load(task).configs[TARGET_TRAINING].target_train
    prepared = json.loads(Path(options.ann_file).read_text())
    for (name, label, box, crowd), drawn in zip(boxes_of(prepared), boxes_of(coco), strict=True):
        assert (name, label, crowd) == (drawn[0], drawn[1], 0) and box == pytest.approx(drawn[2], abs=1e-3)
    if kind == "voc":
        task["target"]["train"]["first_pixel"] = 0
        prepared = json.loads(Path(load(task).configs[TARGET_TRAINING].target_train.ann_file).read_text())
        assert boxes_of(prepared)[0][2][0] == boxes_of(coco)[0][2][0] + 1


def test_a_number_can_be_a_name(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task | dict(name=7)))
    assert adaptation_of(read_task(tmp_path / "task.yaml")).work_dir == Path("work_dirs/7")


def test_a_new_version_leaves_prepared_annotations_alone(task, load, tmp_path, monkeypatch):
    task["target"]["num_annotated"] = 2
    load(task)
    path = tmp_path / "work/annotations/target_train_seed0_2.json"
    first = path.read_bytes()
    monkeypatch.setattr("ms2a.pipeline.data.provenance", lambda **_: {"git_commit": "another"})
    load(task)
    assert path.read_bytes() == first
    task["target"]["train"] = task["source"]["val"]
    load(task)
    assert b"another" in path.read_bytes() != first


def test_without_a_source_validation_set_only_the_target_is_tested(task, load):
    task["source"].pop("val")
    assert [part.domain for part in load(task).configs[BASE].data.test.datasets] == ["line_b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(classes="part"), "'classes' is 'part', expected a valid list"),
        (dict(classes=[]), r"'classes' is \[\], .* at least 1 item"),
        (dict(classes=["part", False]), "'classes.1' is False, expected a valid string"),
        (dict(classes=["part", "part"]), "list of different names"),
        (dict(image_size=[60, 96]), r"\[60, 96\], expected height and width, multiples of 32"),
        (dict(image_size=64), "'image_size' is 64, expected a valid list"),
        (dict(epochs={"base": 1}), r"'epochs.base'.* is 1, expected a whole number of at least 6 \(1 to warm"),
        (dict(epochs={"base": 1.5}), "'epochs.base' is 1.5, expected a valid integer"),
        (dict(epochs={"bose": 1}), "'epochs' has unknown bose; known: base, source_training, target_training"),
        (dict(target=dict(domain="line_b")), "'target.train' is missing; add it; 'target.unlabelled' is missing"),
        (dict(target=None), "'target' is None, expected a mapping with domain, num_annotated, test, train, unlabelled"),
        (dict(colour="red"), "task.yaml: has unknown colour; known: bit_depth, classes, detector, epochs"),
        ({5: "red"}, "unknown 5"),
        (dict(detector="big"), "'detector' is 'big', expected 'nano', 'small', 'tiny', 's', 'm', 'l' or 'x'"),
        (dict(weights=False), "'weights' is False, expected a valid string"),
        (dict(name=None), "'name' is None, expected a valid string"),
        (dict(name="a\0b"), "expected a name for the folder"),
        (dict(name="ä" * 110), "expected a name for the folder"),
        (dict(image_size=["64", 96]), "'image_size.0' is '64', expected a valid integer"),
        (dict(image_size=[64.0, 96]), "'image_size.0' is 64.0, expected a valid integer"),
        (dict(name="../elsewhere"), "'name' is '../elsewhere', expected a name for the folder"),
    ],
)
def test_mistakes_are_one_clear_line(task, load, change, message):
    with pytest.raises(UserError, match=message) as error:
        load(task | change)
    assert "\n" not in str(error.value) and str(error.value).count(str(load.file)) == 1


@pytest.mark.parametrize(
    ("side", "change", "message"),
    [
        ("target", dict(domain="line_a"), "both called 'line_a'"),
        ("target", dict(domain="line.b"), "line.b"),
        ("target", dict(unlabelled="a\0b"), "'target.unlabelled' is .*, expected the path of a file or folder"),
        ("target", dict(domain="-x"), "no '-' at the start"),
        *[
            ("target", dict(domain=f"line_a{end}"), f"'line_a' and 'line_a{end}' would both have a file line_a{end}")
            for end in ("_cluster", "_colour", "_style", "_foreground", "_background", "_colour_cluster")
        ],
        ("target", dict(domain=None), "'target.domain' is None, expected a valid string"),
        ("target", dict(domain="training"), "'training' means something else to torch"),
        ("target", dict(unlabelled=""), "'target.unlabelled' is '', .* at least 1 character"),
        ("target", dict(num_annotated=True), "'target.num_annotated' is True, expected a valid integer"),
        ("target", dict(unlabelled="none"), "none.* does not exist"),
        ("target", dict(num_annotated=0), "'target.num_annotated' is 0, expected greater than or equal to 1"),
        ("target", dict(num_annotated=99), "99 annotated images asked for, but only 6"),
        ("target", dict(test=dict(annotations="none.json", images="b/images")), "none.json do not exist"),
        ("source", dict(train=dict(annotations=3, images="a/images")), "'source.train.annotations' is 3, expected a"),
        ("source", dict(train=dict(annotations="a/annotations.json", images="none")), "none.* does not exist"),
    ],
)
def test_what_a_task_names_is_checked_before_hours_of_training(task, load, side, change, message):
    task[side] |= change
    with pytest.raises(UserError, match=message) as error:
        load(task)
    assert "\n" not in str(error.value)


def test_a_missing_test_image_is_told_before_hours_of_training(task, load, tmp_path):
    (tmp_path / "b_test" / "images" / "004.png").unlink()
    (tmp_path / "b" / "images" / "004.png").unlink()  # in training it is skipped
    with pytest.raises(
        UserError,
        match=r"target test: pictures that do not exist, and a test .*: 1 \(004.png\); set 'images' of target",
    ):
        load(task)


def test_domains_may_be_called_source_and_target(task, load):
    task["source"]["domain"], task["target"]["domain"] = "source", "target"
    images = load(task).configs[TARGET_TRAINING].memory_images
    assert sorted(images) == ["source", "target"]
    assert images.source.img.endswith("a/annotations.json") and images.target.img.endswith("b/images")


def test_domains_may_be_called_as_words_of_python(task, load):
    task["source"]["domain"], task["target"]["domain"] = "in", "class"
    adaptation = load(task)
    write_configs(adaptation)
    assert sorted(load_config(adaptation.config_path(TARGET_TRAINING)).memory_images) == ["class", "in"]


@pytest.mark.parametrize("name", ["a", "b", "b_test"])
def test_annotations_without_a_usable_box_are_told_at_once(task, load, tmp_path, name):
    path = tmp_path / name / "annotations.json"
    coco = json.loads(path.read_text())
    for annotation in coco["annotations"]:
        annotation["bbox"] = [0.1, 0.1, 0.3, 0.3]  # as shares of the image
    path.write_text(json.dumps(coco))
    with pytest.raises(UserError, match=r"boxes, all of them between 0 and 1.*multiply them by width and height"):
        load(task)


def test_drawn_images_have_boxes_of_the_tasks_classes(task, load, tmp_path):
    path = tmp_path / "b" / "annotations.json"
    coco = json.loads(path.read_text())
    coco["categories"].append(dict(id=9, name="other"))
    wanted = [2, 5]
    for annotation in coco["annotations"]:
        annotation["category_id"] = 1 if annotation["image_id"] in wanted else 9
    path.write_text(json.dumps(coco))
    task["target"]["num_annotated"] = 2
    drawn = json.loads(Path(load(task).configs["source_training"].target_train.ann_file).read_text())
    assert [image["id"] for image in drawn["images"]] == wanted


def test_missing_and_broken_task_files(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_task(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("name: [tiny")
    with pytest.raises(UserError, match="not valid YAML"):
        read_task(tmp_path / "broken.yaml")
    for text in (
        "name: 2020-13-45",
        "name: " + "[" * 5000,
        "name: &a [*a, *b]",
        "name: !!python/object:os.system x",
        "\0",
    ):
        (tmp_path / "broken.yaml").write_text(text)
        with pytest.raises(UserError, match="not valid YAML") as error:
            read_task(tmp_path / "broken.yaml")
        assert "\n" not in str(error.value)
    (tmp_path / "broken.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UserError, match="is not text in UTF-8"):
        read_task(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- tiny")
    with pytest.raises(UserError, match="expected a mapping"):
        read_task(tmp_path / "list.yaml")


def test_an_option_goes_to_the_stages_that_read_it_and_the_rest_is_told(task, load, capsys):
    configs = load(task, cfg_options={"target_times": 4, "lr": 0.5}).configs
    times = [configs[stage].data.train.domains[1].times for stage in (SOURCE_TRAINING, TARGET_TRAINING)]
    assert times == [4, 4] and [configs[stage].optimizer.lr for stage in configs] == [0.5] * 3
    told = "warning: the option target_times changes source_training and target_training only: the other stages"
    assert told in capsys.readouterr().err
    configs = load(task, cfg_options={"model.adapter.memory.num_prototypes": 7, "affine_border": (-1, -1)}).configs
    assert "adapter" not in configs[BASE].model
    assert configs[TARGET_TRAINING].model.adapter.memory.num_prototypes == 7
    for option in ("target_tims", "nothing", "modle.type"):
        with pytest.raises(UserError, match=f"`cfg_options={option}`: .*(did you mean|nothing in config)"):
            load(task, cfg_options={option: 4})


def test_an_option_comes_after_what_the_task_says_and_none_is_without_effect(task, load):
    task["epochs"] = {"base": 9, "source_training": 7}
    usual, shorter = load(task).configs, load(task, cfg_options={"max_epochs": 6}).configs
    assert [usual[stage].runner.max_epochs for stage in (BASE, SOURCE_TRAINING, TARGET_TRAINING)] == [9, 7, 10]
    assert {config.runner.max_epochs for config in shorter.values()} == {6}
    with pytest.raises(UserError, match="'epochs.base' .* or .*cfg_options.* is 2, .* at least 6"):
        load(task, cfg_options={"runner.max_epochs": 2})
    with pytest.raises(UserError, match="num_annotated.*task.yaml says that under 'target'"):
        load(task, cfg_options={"num_annotated": 2})
    for option in ("memory_dir", "memory_files.line_a"):
        with pytest.raises(UserError, match=f"{option.split('.')[0]}.*the pipeline sets that"):
            load(task, cfg_options={option: "elsewhere"})


def test_training_reads_the_memory_files_that_clustering_writes(task, load):
    adaptation = load(task)
    write_configs(adaptation)
    clustered = next(step.outputs for step in steps_of(adaptation) if step.name == "cluster")
    files = adaptation.configs[SOURCE_TRAINING].model.adapter.memory.files
    assert files == dict(zip(("line_a", "line_b"), map(str, clustered), strict=True))


def test_reading_looks_at_no_data_and_preparing_writes_nothing_that_is_there(task, tmp_path):
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    read = read_task(tmp_path / "task.yaml")
    assert (read.target.test.annotations, read.source.val.images) == (
        tmp_path / "b_test/annotations.json",
        tmp_path / "a_val/images",
    )
    prepared = prepare_files(read, check_task(read), tmp_path / "prepared")
    assert prepared["source_train"] == read.source.train.annotations and not (tmp_path / "prepared").exists()
    task["source"]["train"]["images"] = "nowhere"
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    with pytest.raises(UserError, match="image folder .*nowhere does not exist"):
        check_task(read_task(tmp_path / "task.yaml"))


def test_the_steps_take_the_runs_seed_and_device_and_each_domains_own_images(task, load, tmp_path):
    task["target"]["unlabelled"] = "b_test/images"
    adaptation = load(task, seed=7, device="cpu", cfg_options=dict(colour_prob=0.5, num_colours=3))
    steps = {step.name: list(step.command) for step in steps_of(adaptation)}

    def value(name, option):
        return steps[name][steps[name].index(option) + 1]

    random = [name for name in steps if not name.startswith(("test", "draw"))]
    assert len(random) == 8 and {value(name, "--seed") for name in random} == {"7"}
    assert {value(name, "--device") for name in steps} == {"cpu"}
    extracted = {name: value(name, "--img") for name in steps if name.startswith("extract")}
    source, target = str(tmp_path / "a" / "annotations.json"), str(tmp_path / "b_test" / "images")
    assert extracted == {"extract_line_a": source, "extract_line_b": target, "extract_colour_line_b": target}
    write_configs(adaptation)
    tested = [load_config(adaptation.config_path(name)).data.test for name in ("source_only", TARGET_TRAINING)]
    assert tested[0] == tested[1] and [part.domain for part in tested[0].datasets] == ["line_b", "line_a"]
