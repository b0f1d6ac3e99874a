"""Where the base detector of a task or a recipe starts, and that each stage gets the size."""

import pytest

from ms2a.artefacts import write_text
from ms2a.errors import UserError
from ms2a.pipeline.run import run_pipeline
from ms2a.pipeline.stages import BASE, SOURCE_TRAINING, TARGET_TRAINING, train_step
from ms2a.pipeline.start import choose_start, recipe_options
from ms2a.pipeline.task import adaptation_of, read_task
from tests.tiny import make_task
from tests.yolox_files import coco_weights


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder of weights with those of size nano, for 80 classes."""
    path = coco_weights(tmp_path / "weights")
    monkeypatch.setenv("MS2A_WEIGHTS", str(path.parent))
    return path


def adapt(tmp_path, said=None, cfg_options=None, changes=None, **given):
    task = read_task(make_task(tmp_path / "data", epochs={}, **(changes or {})))
    say = (said if said is not None else []).append
    return adaptation_of(task, tmp_path / "work", 0, "cpu", cfg_options, lambda text, **_: say(text), **given)


def is_depthwise(config):
    return {part: config.model[part].use_depthwise for part in ("backbone", "neck", "bbox_head")}


def test_own_data_start_from_coco_weights_where_they_can_be_had(weights, tmp_path):
    said = []
    adaptation = adapt(tmp_path, said)
    assert f"detector nano, from {weights}" in said
    for stage in (BASE, SOURCE_TRAINING, TARGET_TRAINING):
        assert set(is_depthwise(adaptation.configs[stage]).values()) == {True}
    base, source_training = adaptation.configs[BASE], adaptation.configs[SOURCE_TRAINING]
    assert base.load_from == str(weights) and source_training.load_from.endswith("work/base/latest.pth")
    assert base.runner.max_epochs < 20
    assert source_training.model.get("adapter") is None and source_training.colour_prob  # recipe best
    assert any(line.startswith("recipe best, as always from weights") for line in said)
    assert weights in train_step(adaptation, BASE).inputs
    assert weights not in train_step(adaptation, SOURCE_TRAINING).inputs


def test_without_them_the_small_detector_is_trained_and_a_line_says_what_would_help(tmp_path):
    said = []
    adaptation = adapt(tmp_path, said)
    line = next(text for text in said if text.startswith("detector"))
    assert line.startswith("detector small, from random weights; nano from COCO weights would learn more, but: ")
    assert "put yolox_nano.pth from there into a folder and set MS2A_WEIGHTS to that folder" in line
    assert not any(is_depthwise(adaptation.configs[TARGET_TRAINING]).values())
    base = adaptation.configs[BASE]
    assert base.load_from is None and base.runner.max_epochs == 20
    assert not adaptation.configs[SOURCE_TRAINING].model.adapter.zero_init


def test_a_started_run_keeps_its_start(weights, tmp_path, monkeypatch):
    for folder, (then, now) in dict(a=("", str(weights.parent)), b=(str(weights.parent), "")).items():
        monkeypatch.setenv("MS2A_WEIGHTS", then)
        first = adapt(tmp_path / folder)
        write_text(first.configs[BASE].pretty_text, first.config_path(BASE))  # as a run does
        monkeypatch.setenv("MS2A_WEIGHTS", now)
        again = adaptation_of(read_task(tmp_path / folder / "data/task.yaml"), first.work_dir, 0, "cpu")
        for stage in (BASE, TARGET_TRAINING):
            assert again.configs[stage]._cfg_dict == first.configs[stage]._cfg_dict
        assert (first.configs[BASE].load_from is None) == (folder == "a")


def test_size_and_weights_of_the_task_file_and_of_the_command_line(weights, tmp_path):
    config = adapt(tmp_path / "a", changes=dict(detector="tiny", weights="none")).configs[TARGET_TRAINING]
    assert (config.model.backbone.widen_factor, config.model.adapter.channels) == (0.375, 96)
    # A file of the task starts from the task's folder.
    own = tmp_path / "b" / "data" / "own.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(weights.read_bytes())
    config = adapt(tmp_path / "b", changes=dict(weights="own.pth")).configs[BASE]
    assert config.load_from == str(own) and is_depthwise(config)["neck"]
    config = adapt(tmp_path / "c", changes=dict(detector="tiny"), detector="nano").configs[BASE]
    assert config.load_from == str(weights) and config.model.backbone.widen_factor == 0.25
    config = adapt(tmp_path / "d", cfg_options=dict(detector="s"), weights="none").configs[BASE]
    assert config.model.neck.out_channels == 128 and config.load_from is None


def test_options_come_after_the_size(weights, tmp_path):
    options = dict(test_batch_size=3, load_from="elsewhere.pth", lr=0.5)
    config = adapt(tmp_path, cfg_options=options).configs[BASE]
    assert config.data.test_dataloader.samples_per_gpu == 3 and config.lr == 0.5
    assert config.load_from == "elsewhere.pth" and not is_depthwise(config)["neck"]  # as before sizes could be chosen
    with pytest.raises(UserError, match="load_from.*weights.* says that; give one of the two"):
        adapt(tmp_path / "two", cfg_options=options, weights="none")


def test_what_a_size_or_weights_alone_mean(weights, tmp_path):
    def chosen(detector, name):
        start = choose_start(detector, name, tmp_path / "nowhere", lambda _: None)
        return start.detector, start.weights

    assert chosen("nano", None) == chosen(None, "coco") == chosen(None, str(weights)) == ("nano", weights)
    assert chosen("small", None) == chosen(None, "none") == ("small", None)
    assert chosen("x", "none") == ("x", None)
    with pytest.raises(UserError, match="of size nano, the detector of size l; give detector=nano"):
        chosen("l", str(weights))
    with pytest.raises(UserError, match="COCO weights of size l .* cannot be downloaded"):
        chosen("l", None)


def test_from_weights_the_best_recipe_leaves_the_module_out(weights, tmp_path):
    adaptation = adapt(tmp_path / "a", changes=dict(recipe="best"))
    for stage in (SOURCE_TRAINING, TARGET_TRAINING):
        config = adaptation.configs[stage]
        assert config.model.get("adapter") is None and config.model.get("foreground") is None
        assert config.colour_prob == 0.8 and config.data.train.skip_type_keys == ["CrossDomainCopyPaste"]
        (paste,) = config.data.train.before_mixing
        assert (paste.type, paste.domain) == ("PasteObjects", config.target_domain)
        assert paste.img_scale == config.img_scale
    with pytest.raises(UserError, match="adapter_query`: no stage reads it; this form has no adaptation module"):
        adapt(tmp_path / "b", changes=dict(recipe="best"), cfg_options=dict(adapter_query="memory"))
    released = adapt(tmp_path / "c", changes=dict(recipe="released")).configs[TARGET_TRAINING]
    assert not released.model.adapter.zero_init and not released.colour_prob
    assert "before_mixing" not in released.data.train


def test_any_recipe_takes_a_size_and_weights(weights, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr("ms2a.pipeline.run.write_configs", lambda adaptation: loaded.append(adaptation) or 1 / 0)
    config = "configs/yolox/yolox_fs_n_128x320_indus_synth_t1_10_pretrain_mom_ft.py"
    with pytest.raises(ZeroDivisionError):
        run_pipeline(config, tmp_path, detector="nano", cfg_options=dict(lr=0.5), say=lambda *_: None)
    base, last = loaded[0].configs[BASE], loaded[0].configs[TARGET_TRAINING]
    assert base.load_from == str(weights) and base.lr == 0.5 and last.load_from.endswith("source_training/latest.pth")
    assert is_depthwise(base) == is_depthwise(last) and is_depthwise(last)["backbone"]
    with pytest.raises(UserError, match="of size nano, the detector of size small"):
        recipe_options(None, str(weights), {}, adapt(tmp_path / "x", weights="none").configs[BASE], lambda _: None)
    given = recipe_options(None, "none", {"lr": 1}, base, lambda _: None)
    assert given == {"load_from": None, "lr": 1}
