"""The benchmark's plan and its results file."""

import json
import multiprocessing
import time
from pathlib import Path

import pytest
from mmcv import Config

from ms2a.artefacts import write_json
from ms2a.benchmark.indus_synth import Sizes
from ms2a.benchmark.plan import Run, prepare_run, rounds_of
from ms2a.benchmark.run import (
    _check_annotations,
    _keep,
    _line,
    _stoppable_pool,
    missing_runs,
    read_results,
    read_wanted,
    run_benchmark,
)
from ms2a.errors import UserError
from ms2a.pipeline.runner import Runner
from tests.tiny import ROOT, make_coco, make_task, result_line

T1, T2 = (ROOT / f"configs/yolox/yolox_fs_n_128x320_indus_synth_{t}_10_pretrain_mom_ft.py" for t in ("t1", "t2"))


def prepare(tmp_path, task=T1, method="joint", shots=10, seed=1):
    return prepare_run(Run(task, method, shots, seed), tmp_path)


def test_task_shots_and_seed_reach_the_methods_config(tmp_path):
    item = prepare(tmp_path, T2, "ms2a", 30, 4)
    source, target = item.config.data.train.domains
    assert (source.dataset.ann_file, source.samples) == ("s/train.json", 400)
    assert (target.dataset.ann_file, target.samples) == ("t2/split4_30.json", 240)
    assert [part.ann_file for part in item.config.data.test.datasets] == ["t2/test.json", "s/val.json"]
    assert item.config.model.default_domain == "indus_synth_t2"
    assert item.key == ("indus_synth_s", "indus_synth_t2", 30, "ms2a", 4, 240, "small", None, "")
    memory = tmp_path / "indus_synth_s/seed4/memory/indus_synth_t2_map_k100"
    assert item.config.model.adapter.memory.files == {
        domain: str(memory / f"{domain}_cluster.pth") for domain in ("indus_synth_s", "indus_synth_t2")
    }
    written = Config.fromfile(item.folder / "config.py")
    assert written.data.train == item.config.data.train


def test_a_line_has_the_scores_of_target_and_source_in_percent(tmp_path):
    item = prepare(tmp_path)
    scores = {"indus_synth_t1_bbox_mAP_50": 0.625, "indus_synth_s_bbox_mAP_50": 0.75, "indus_synth_t1_bbox_mAP": 0.25}
    write_json(dict(metrics=scores), item.folder / "results" / "metrics.json")
    line = _line(item, [dict(seconds=1.0, peak_mib=10)] * (len(item.shared) + 2))
    assert line["metrics"] == {"target mAP_50": 62.5, "source mAP_50": 75.0, "target mAP": 25.0}


def test_methods_keep_what_they_change_on_every_task(tmp_path):
    style = prepare(tmp_path, T2, "image_style").config.data.train.domains[0].dataset.pipeline[-1]
    assert (style.type, style.img) == ("TargetStyle", "data/indus_synth/t2/unlabelled")
    oracle = prepare(tmp_path, T2, "oracle").config
    assert oracle.data.train.domains[1].dataset.ann_file == "t2/pool.json"
    unlabelled = prepare(tmp_path, T2, "mean_teacher").config.data.train.unlabelled
    assert unlabelled == dict(img="data/indus_synth/t2/unlabelled", domain="indus_synth_t2")


def test_cfg_options_change_the_method_and_not_the_base_detector(tmp_path):
    run, base = Run(T1, "ms2a", 10, 1), tmp_path / "indus_synth_s/seed1/configs/base.py"
    usual, base_before = prepare_run(run, tmp_path), base.read_text()
    longer = prepare_run(run, tmp_path, cfg_options={"max_epochs": 9, "num_prototypes": 10})
    assert base.read_text() == base_before
    assert (usual.config.runner.max_epochs, longer.config.runner.max_epochs) == (3, 9)
    assert longer.config.checkpoint_config.interval == 9
    assert "_k10/" in longer.config.model.adapter.memory.files["indus_synth_s"]


def test_cfg_options_have_a_folder_of_their_own_and_leave_the_task_alone(tmp_path):
    run = Run(T1, "joint", 10, 1)
    folders = {prepare_run(run, tmp_path, cfg_options=options).folder for options in (None, {"lr": 1e-4}, {"lr": 2e-4})}
    assert len(folders) == 3
    with pytest.raises(UserError, match="`cfg_options=num_annotated`: the task says that; use `tasks`, `shots`"):
        prepare_run(run, tmp_path, cfg_options={"num_annotated": 30})


def test_an_option_without_effect_or_without_its_memory_is_refused(tmp_path):
    run = Run(T1, "joint", 10, 1)
    for option in ("memory_dir", "checkpoint_config.interval", "load_from"):
        with pytest.raises(UserError, match="the benchmark sets that, the same for all methods"):
            prepare_run(run, tmp_path, cfg_options={option: "other"})
    options = {"colour_prob": 0.5}
    with pytest.raises(UserError, match="asks for no memory of colours; give benchmark.memories.colour=20 too"):
        prepare_run(run, tmp_path, cfg_options=options)
    item = prepare_run(run, tmp_path, cfg_options={**options, "benchmark.memories.colour": 20})
    recolour = item.config.data.train.domains[0].dataset.pipeline[-1]
    assert recolour.file in map(str, item.shared[-1].outputs) and "_colour_k20/indus_synth_t1_colour" in recolour.file


def test_the_memory_of_the_wrong_domain_is_read_on_every_task(tmp_path):
    style = prepare(tmp_path, T2, "ms2a_style_source_memory")
    assert style.config.model.style.file.endswith("indus_synth_t2_style_k20/indus_synth_s_style_cluster.pth")
    colour = prepare(tmp_path, T2, "ms2a_colour_swapped_memory").config
    recolour = colour.data.train.domains[0].dataset.pipeline[-1]
    assert recolour.file.endswith("indus_synth_t2_colour_k20/indus_synth_s_colour_cluster.pth")
    assert colour.model.adapter.memory.files["indus_synth_s"].endswith("indus_synth_t2_cluster.pth")


def test_a_task_with_another_detector_is_refused_at_once(tmp_path):
    task = ROOT / "configs/yolox/yolox_fs_x_640x640_50e_cityscapes_pretrain_mom_ft.py"
    with pytest.raises(UserError, match="has a detector of 320 channels, configs/benchmark/joint.py of 64"):
        prepare(tmp_path, task, "joint", None)


def test_the_hash_of_a_config_does_not_depend_on_how_the_folder_is_written(tmp_path, monkeypatch):
    task = make_task(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = {
        prepare_run(Run(task, "joint", None, 1), folder).config_sha256
        for folder in (Path("a"), tmp_path / "a", Path("b"))
    }
    assert len(found) == 1


def test_no_jobs_and_missing_splits_are_told_before_any_work(tmp_path):
    run = Run(make_task(tmp_path), "joint", None, 1)
    with pytest.raises(UserError, match="`jobs=0`: expected 1 or more"):
        run_benchmark([run], tmp_path / "work", tmp_path / "results.jsonl", jobs=0)
    item = prepare_run(run, tmp_path / "work")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "split1_10.json").touch()
    item.config.target_train.ann_file = str(tmp_path / "splits" / "split1_7.json")
    missing = r"split1_7.json of target_train \(seed 1\) does not exist; its folder has 'split1_10.json'; make it"
    with pytest.raises(UserError, match=missing):
        _check_annotations([item])


@pytest.mark.parametrize("shots", [5, 10, 30, 50])
def test_the_generated_data_have_the_splits_that_the_benchmark_reads(tmp_path, shots):
    read = Path(prepare(tmp_path, shots=shots).config.target_train.ann_file).name
    assert read in {f"split{seed}_{count}.json" for seed in range(Sizes().split_seeds) for count in Sizes().shots}


def test_a_task_of_ones_own_leaves_nothing_of_the_configs_own_task(tmp_path):
    config = prepare(tmp_path, make_task(tmp_path), "ms2a_style", None).config
    assert "indus_synth" not in config.pretty_text.replace("yolox_fs_n_128x320_indus_synth", "")
    assert config.img_scale == (64, 96) and config.target_domain == "line_b"
    assert [domain.dataset.domain for domain in config.data.train.domains] == ["line_a", "line_b"]


def test_swapped_memories_are_swapped(tmp_path):
    files = prepare(tmp_path, method="ms2a_swapped_memory").config.model.adapter.memory.files
    assert files["indus_synth_s"].endswith("indus_synth_t1_cluster.pth")
    assert files["indus_synth_t1"].endswith("indus_synth_s_cluster.pth")


def test_one_base_detector_for_all_methods_targets_and_shots_of_a_seed(tmp_path):
    items = [
        prepare(tmp_path, T1, "joint"),
        prepare(tmp_path, T1, "ms2a", 50),
        prepare(tmp_path, T2, "ms2a_vector"),
        prepare(tmp_path, T2, "source_only", 30),
    ]
    assert len({item.shared[0] for item in map(_hashable, items)}) == 1
    texts = set()
    for task, shots in ((T1, 10), (T2, 30)):
        prepare(tmp_path, task, "joint", shots)
        texts.add((tmp_path / "indus_synth_s/seed1/configs/base.py").read_text())
    assert len(texts) == 1
    assert len(items[0].own) == 2 and len(items[3].own) == 1
    assert str(tmp_path / "indus_synth_s/seed1/base/latest.pth") in items[3].own[0].command


def _hashable(item):
    step = item.shared[0]
    return type("Item", (), {"shared": [(step.name, tuple(step.command))]})


def test_what_runs_share_does_not_depend_on_what_else_they_need(tmp_path):
    """The same step in two chains has the same fingerprint, so that neither chain undoes the other's."""
    found = {}
    for task in (T1, T2):
        for method in ("joint", "ms2a", "ms2a_k10", "ms2a_plus"):
            item = prepare(tmp_path, task, method)
            runner = Runner(item.adaptation.work_dir)
            for step in [*item.shared, *item.own]:
                runner.fingerprints[step.name] = runner._fingerprint(step)
                assert found.setdefault(step.name, runner.fingerprints[step.name]) == runner.fingerprints[step.name]
    assert len(found) == 1 + 2 * 3 + 6 + 8 * 2


def test_clustering_writes_the_files_that_training_reads(tmp_path):
    for method in ("ms2a", "ms2a_k10", "ms2a_vector"):
        item = prepare(tmp_path, method=method)
        extracted = [path.stem for step in item.shared[1:-1] for path in step.outputs]
        cluster = item.shared[-1]
        names = cluster.command[cluster.command.index("--depart") + 1 : cluster.command.index("--seed")]
        assert names == extracted
        assert sorted(map(str, cluster.outputs)) == sorted(item.config.model.adapter.memory.files.values())


def test_a_run_with_its_line_is_done_wherever_the_folder_is(tmp_path):
    item = prepare(tmp_path / "here", method="ms2a")
    moved = prepare(tmp_path / "there", method="ms2a")
    assert item.config_sha256 == moved.config_sha256
    assert item.config_sha256 != prepare(tmp_path / "here", method="ms2a", seed=2).config_sha256
    results, said = tmp_path / "results.jsonl", []
    done = dict(result_line("ms2a", 1, 50.0) | item.place, config_sha256=item.config_sha256)
    _keep(done, results)
    run_benchmark([item.run], tmp_path / "elsewhere", results, say=lambda text, **_: said.append(text))
    assert said == [f"1 of 1 runs have their line in {results}"]


def test_changed_annotations_are_noticed(tmp_path):
    task = make_task(tmp_path)
    run, results, said = Run(task, "joint", None, 1), tmp_path / "results.jsonl", []
    item = prepare_run(run, tmp_path / "work")
    steps = [[path.read_bytes() for path in step.inputs if isinstance(path, Path)] for step in item.own]
    hashes = dict(config_sha256=item.config_sha256, annotations_sha256=item.annotations_sha256)
    _keep(dict(result_line("joint", 1, 50.0) | item.place, **hashes), results)
    run_benchmark([run], tmp_path / "work", results, say=lambda text, **_: said.append(text))
    assert said[-1:] == [f"1 of 1 runs have their line in {results}"]
    for name in ("b", "b_test"):
        path = tmp_path / name / "annotations.json"
        coco = json.loads(path.read_text())
        for annotation in coco["annotations"]:
            annotation["bbox"][2] -= 1
        path.write_text(json.dumps(coco))
    changed = prepare_run(run, tmp_path / "work")
    assert changed.annotations_sha256 != hashes["annotations_sha256"]
    for before, step in zip(steps, changed.own, strict=True):
        assert before != [path.read_bytes() for path in step.inputs if isinstance(path, Path)]
    with pytest.raises(StopIteration):
        run_benchmark([run], tmp_path, results, say=lambda text, **_: next(iter([])) if "0 of 1" in text else None)


def test_tasks_whose_lines_or_folders_could_not_be_told_apart_are_refused(tmp_path):
    results = tmp_path / "results.jsonl"

    def refuse(tasks, message):
        runs = [Run(task, "joint", None, 1) for task in tasks]
        with pytest.raises(UserError, match=message):
            run_benchmark(runs, tmp_path / "work", results, say=lambda *_, **__: None)

    one, other = (make_task(tmp_path / name) for name in ("a", "b"))
    refuse([one, other], "a/task.yaml and .*b/task.yaml would share one folder, by their name; rename one")
    other = other.rename(other.with_name("other.yaml"))
    refuse([one, other], "a/task.yaml and .*b/other.yaml both go from 'line_a' to 'line_b'; give the domains")
    place = prepare_run(Run(one, "joint", None, 1), tmp_path / "work").place
    _keep(result_line("joint", 1, 50.0) | place | {"classes": ["nut"]}, results)
    refuse([one], r"find other classes: \['part'\] and \['nut'\]; give the domains of one other names")


def test_a_line_of_another_config_counts_if_asked_to(tmp_path):
    item = prepare(tmp_path, method="joint")
    results, said = tmp_path / "results.jsonl", []
    _keep(dict(result_line("joint", 1, 50.0) | item.place, config_sha256="another"), results)
    run_benchmark([item.run], tmp_path, results, keep=True, say=lambda text, **_: said.append(text))
    assert said == [f"1 of 1 runs have their line in {results}"]
    with pytest.raises(StopIteration):  # the first thing said is that there is something to do
        run_benchmark([item.run], tmp_path, results, say=lambda text, **_: next(iter([])) if "0 of 1" in text else None)


def test_ctrl_c_starts_nothing_new():
    started = []
    with pytest.raises(KeyboardInterrupt), _stoppable_pool(1) as pool:
        first = pool.submit(lambda: (started.append(0), time.sleep(0.2)))
        for number in range(1, 5):
            pool.submit(started.append, number)
        while not started:
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert started == [0] and first.done()


def test_an_unknown_method_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="unknown method 'magic'; known: adabn, adversarial"):
        prepare(tmp_path, method="magic")


@pytest.mark.parametrize("name", ["results", "long", "insulators"])
def test_the_published_results_can_be_read(name):
    assert len(read_results(ROOT / f"docs/results/{name}.jsonl")) >= 30


def test_a_line_replaces_an_earlier_one_of_the_same_run(tmp_path):
    path = tmp_path / "results.jsonl"
    for item in (result_line("joint", 2, 54.0), result_line("joint", 1, 50.0), result_line("joint", 2, 60.0)):
        _keep(item, path)
    assert [(item["seed"], item["metrics"]["target mAP_50"]) for item in read_results(path)] == [(1, 50.0), (2, 60.0)]
    assert all(json.loads(text) for text in path.read_text().splitlines())


def test_runs_with_other_options_have_lines_of_their_own(tmp_path):
    path, run = tmp_path / "results.jsonl", Run(T1, "joint", 10, 1)
    options = (None, {"lr": 1e-4, "nms.iou_threshold": (0.5, 0.6)}, {"lr": 2e-4})
    items = [prepare_run(run, tmp_path, cfg_options=each) for each in options]
    for item, score in zip(items, (50.0, 51.0, 52.0), strict=True):
        _keep(dict(result_line("joint", 1, score) | item.place, config_sha256=item.config_sha256), path)
    assert [line["metrics"]["target mAP_50"] for line in read_results(path)] == [50.0, 51.0, 52.0]
    said = []
    for each in options:
        run_benchmark([run], tmp_path, path, cfg_options=each, say=lambda text, **_: said.append(text))
    assert said.count(f"1 of 1 runs have their line in {path}") == 3
    assert len(read_wanted(path)) == 3 and missing_runs(read_results(path), read_wanted(path)) == []


def test_it_is_said_that_lines_of_another_config_will_be_replaced(tmp_path):
    path, run, said = tmp_path / "results.jsonl", Run(T1, "joint", 10, 1), []
    _keep(dict(result_line("joint", 1, 50.0) | prepare_run(run, tmp_path).place, config_sha256="former"), path)

    def say(text, **_):
        said.append(text)
        if "--keep" in text:
            raise KeyboardInterrupt  # before any training

    with pytest.raises(KeyboardInterrupt):
        run_benchmark([run], tmp_path, path, say=say)
    assert said[-1].startswith("1 lines are of another config or other annotations and will be replaced; --keep leaves")


def test_several_processes_keep_their_lines_in_one_file(tmp_path):
    def keep(method):
        for seed in range(12):
            _keep(result_line(method, seed, 50.0), tmp_path / "results.jsonl")

    processes = [multiprocessing.get_context("fork").Process(target=keep, args=(name,)) for name in ("a", "b", "c")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(read_results(tmp_path / "results.jsonl")) == 36


def test_a_results_file_that_is_not_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist; run `ms2a benchmark`"):
        read_results(tmp_path / "none.jsonl")
    Path(tmp_path / "cut.jsonl").write_text('{"task": "t"')
    with pytest.raises(UserError, match="is not valid JSON lines"):
        read_results(tmp_path / "cut.jsonl")
    Path(tmp_path / "other.jsonl").write_text('{"task": "t"}')
    with pytest.raises(UserError, match="line 1 of results file .*: expected an object with adaptation_seconds, kind"):
        read_results(tmp_path / "other.jsonl")


def test_shared_steps_come_once_each_behind_what_they_need(tmp_path):
    methods = ("joint", "ms2a", "ms2a_vector", "ms2a_k10")
    prepared = [prepare(tmp_path, method=method) for method in methods]
    rounds = rounds_of(prepared)
    last = [chain[-1].name for chains in rounds for _, chain in chains]
    assert len(last) == len(set(last)) == len({step.name for item in prepared for step in item.shared})
    done = set()
    for chains in rounds:
        assert all({step.name for step in chain[:-1]} <= done for _, chain in chains)
        done |= {chain[-1].name for _, chain in chains}
    # The base detector; both domains in maps and in vectors; maps at K = 100 and 10, and vectors.
    assert [len(chains) for chains in rounds] == [1, 4, 3]


def test_methods_take_the_size_that_a_task_of_ones_own_says(tmp_path):
    own = prepare(tmp_path / "a", make_task(tmp_path / "x", detector="tiny", weights="none"), "joint", None)
    assert own.config.channels == own.adaptation.configs["base"].model.neck.out_channels == 96
    small = prepare(tmp_path / "b", make_task(tmp_path / "y"), "joint", None)
    assert small.config.channels == 64 and small.adaptation.configs["base"].load_from is None


def test_shots_are_drawn_from_the_pool_of_a_task_file_and_the_oracle_has_all(tmp_path):
    task, found = make_task(tmp_path), {}
    for shots, seed in ((2, 1), (4, 1), (2, 2)):
        item = prepare(tmp_path / "work", task, "joint", shots, seed)
        annotated = json.loads(Path(item.config.data.train.domains[1].dataset.ann_file).read_text())
        found[shots, seed] = {image["file_name"] for image in annotated["images"]}
        assert item.key[2] == shots == len(found[shots, seed])
    assert found[2, 1] < found[4, 1] and found[2, 1] != found[2, 2]
    oracle = prepare(tmp_path / "work", task, "oracle", 2).config.data.train.domains[1].dataset.ann_file
    assert len(json.loads(Path(oracle).read_text())["images"]) == 8


def test_the_development_draw_is_tested_on_a_part_of_the_pool(tmp_path):
    pool, test = (
        dict(annotations=str(make_coco(tmp_path / name, 8, seed=seed)), images=str(tmp_path / name / "images"))
        for name, seed in (("pool", 7), ("test", 8))
    )
    target = dict(domain="line_b", train=pool, num_annotated=3, unlabelled=pool["images"], test=test)
    task = make_task(tmp_path, target=target)
    items = {method: prepare(tmp_path / "work", task, method, 3, 0) for method in ("joint", "oracle")}

    def names(path):
        return {image["file_name"] for image in json.loads(Path(path).read_text())["images"]}

    tested = items["joint"].config.data.test.datasets[0]
    assert items["joint"].development and tested.domain == "line_b"
    assert tested.img_prefix == pool["images"]
    held = names(tested.ann_file)
    drawn, rest = (names(item.config.data.train.domains[1].dataset.ann_file) for item in items.values())
    assert (len(held), len(drawn), len(rest)) == (2, 3, 6)
    assert drawn < rest and not held & rest
    reported = prepare(tmp_path / "work", task, "joint", 3, 1)
    assert not reported.development
    assert reported.config.data.test.datasets[0].ann_file == test["annotations"]


def test_seed_0_without_a_pool_is_told(tmp_path, capsys):
    prepare(tmp_path, T1, "joint", 10, 0)
    assert "is tested on its test set" in capsys.readouterr().err


def test_a_budget_of_iterations_reaches_every_method_that_trains(tmp_path):
    def with_budget(method, iterations):
        return prepare_run(Run(T1, method, 10, 1, iterations), tmp_path)

    usual, longer, none = with_budget("joint", None), with_budget("joint", 2160), with_budget("source_only", 2160)
    assert [item.place["iterations"] for item in (usual, longer, none)] == [240, 2160, None]
    assert (longer.config.runner.max_epochs, longer.config.num_last_epochs) == (27, 9)
    assert longer.config.checkpoint_config.interval == 9 and longer.config.checkpoint_config.save_optimizer
    assert not usual.config.checkpoint_config.save_optimizer
    assert usual.folder != longer.folder and none.folder.name == "source_only"
    assert "--auto-resume" in longer.own[0].command
    assert with_budget("joint", 240).config_sha256 == usual.config_sha256
    taught = [with_budget("mean_teacher", iterations).config.model.self_training for iterations in (240, 720)]
    assert [training.start_iter for training in taught] == [80, 240]
    with pytest.raises(UserError, match="`iterations=100`: expected a multiple of 80, one epoch of every method"):
        with_budget("joint", 100)


def test_options_beside_a_budget_of_iterations_hold_or_are_refused(tmp_path):
    def with_options(**options):
        return prepare_run(Run(T1, "mean_teacher", 10, 1, 720), tmp_path, cfg_options=options).config

    config = with_options(**{"model.self_training.start_iter": 480, "num_last_epochs": 1})
    assert (config.max_epochs, config.num_last_epochs, config.model.self_training.start_iter) == (9, 1, 480)
    for length in ("max_epochs", "runner.max_epochs"):
        with pytest.raises(UserError, match="`cfg_options=.*`: `iterations=720` says how long the training is"):
            with_options(**{length: 3})


def test_a_start_from_the_command_line_has_a_folder_and_lines_of_its_own(tmp_path):
    for task, shots in ((T1, 10), (make_task(tmp_path / "own"), None)):
        usual = prepare(tmp_path / "work", task, "joint", shots)
        tiny = prepare_run(Run(task, "ms2a", shots, 1, None, "tiny", "none"), tmp_path / "work")
        assert usual.place["detector"] == "small" and tiny.place["detector"] == "tiny"
        assert tiny.adaptation.work_dir != usual.adaptation.work_dir
        assert tiny.config.model.neck.out_channels == tiny.config.model.adapter.channels == 96
        assert tiny.adaptation.configs["base"].model.neck.out_channels == 96


def test_a_task_is_read_once_for_all_methods(tmp_path):
    task, read, said = make_task(tmp_path), {}, []
    for method in ("joint", "ms2a", "oracle"):
        prepare_run(Run(task, method, None, 1), tmp_path / "work", read=read, say=said.append)
    assert len(read) == 1 and sum("data_report.json" in line for line in said) == 1


def test_what_was_asked_for_is_noted_before_any_work(tmp_path):
    results, said = tmp_path / "results.jsonl", []
    for seed in (1, 2):
        item = prepare(tmp_path, method="joint", seed=seed)
        _keep(dict(result_line("joint", seed, 50.0) | item.place, config_sha256=item.config_sha256), results)
        run_benchmark([item.run], tmp_path, results, say=lambda text, **_: said.append(text))
    assert [place["seed"] for place in read_wanted(results)] == [1, 2]
    assert missing_runs(read_results(results), read_wanted(results)) == []
