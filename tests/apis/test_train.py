"""Training runs of a tiny detector: what they write, what they refuse, resuming, freezing."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from mmcv import Config

from ms2a.apis.train import one_line_worker_errors, train
from ms2a.apis.training_config import recorded, settle_training, without_memory_files
from ms2a.config import load_config
from ms2a.engine.training_csv import read_training
from ms2a.errors import UserError
from ms2a.settled import config_text
from tests.tiny import make_config, make_domains, make_memory


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    make_config(folder / "base.py", make_domains(folder / "data"))
    return folder


@pytest.fixture(scope="module")
def base(folder):
    """A finished base stage: its work directory."""
    train(load_config(folder / "base.py"), work_dir=folder / "base", device="cpu")
    return folder / "base"


@pytest.fixture(scope="module")
def stage_two(folder, base):
    """A config of stage II that starts from the base stage, with every random part on: mixing, multi-scale, workers."""
    path = make_config(
        folder / "two.py", folder / "data", memory=make_memory(folder), load_from=str(base / "latest.pth")
    )
    return path


def settings(**options):
    """Options for a short run: nothing evaluated, one epoch."""
    return {"runner.max_epochs": 1, "data.workers_per_gpu": 0, **options}


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def log_of(work_dir):
    return "".join(path.read_text() for path in sorted(Path(work_dir).glob("*.log")))


def test_a_run_writes_checkpoints_a_log_and_its_config(base):
    names = {path.name for path in base.iterdir()}
    assert {"epoch_1.pth", "epoch_2.pth", "latest.pth", "base.py"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert (base / "latest.pth").resolve().name == "epoch_2.pth"
    meta = torch.load(base / "latest.pth", weights_only=True)["meta"]
    assert (meta["CLASSES"], meta["seed"], meta["epoch"], meta["world_size"]) == (["part"], 0, 2, 1)
    assert meta["provenance"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "MS2AYOLOX" in meta["config"]
    log = log_of(base)
    assert "checkpoint choice: last epoch, no target labels used" in log
    assert "fp16 is for GPUs" in log
    assert "Target domain: night" in log and "night_bbox_mAP" in log
    assert load_config(base / "base.py").work_dir == str(base)


def test_the_recorded_config_trains_the_same_again(stage_two, base, folder):
    options = settings(load_from=str(base / "latest.pth"))
    train(load_config(stage_two, options), work_dir=folder / "recorded", device="cpu", validate=False)
    settled = load_config(stage_two, options)
    for resumed in (False, True):
        recorded = load_config(folder / "recorded" / stage_two.name)
        assert recorded.load_from == settled.load_from
        assert recorded.model.adapter.memory.files == settled.model.adapter.memory.files
        assert recorded.resume_from is None
        if not resumed:
            cfg = load_config(stage_two, {**options, "runner.max_epochs": 2})
            train(cfg, work_dir=folder / "recorded", device="cpu", validate=False, auto_resume=True)


@pytest.mark.parametrize("log", ["dict(interval=1)", "dict(interval=1, hooks=())"])
def test_a_config_without_evaluation_log_level_and_loggers_trains(folder, tmp_path, log):
    text = (folder / "base.py").read_text() + f"evaluation = None\ndel log_level\nlog_config = {log}\n"
    (tmp_path / "base.py").write_text(text)
    assert train(load_config(tmp_path / "base.py", settings()), work_dir=tmp_path / "run", device="cpu").is_file()


LACKS = ["del data['train']", "optimizer = None", "del runner['type']", "model['train_cfg'] = None"]


@pytest.mark.parametrize("change", LACKS)
def test_what_a_training_needs_is_told_before_anything_is_written(folder, tmp_path, change):
    (tmp_path / "base.py").write_text((folder / "base.py").read_text() + change + "\n")
    message = refusal(tmp_path / "base.py", tmp_path / "run", {})
    assert re.search(r"base\.py has no [a-z_.]+, which training needs; add it", message)
    assert not (tmp_path / "run").exists()


def test_resuming_asks_for_no_memory_file():
    model = Config(
        dict(
            adapter=dict(memory=dict(files=dict(day="gone.pth"))),
            style=dict(file="gone.pth"),
            alignment=[dict(loss=1), dict(to_memory=dict(files=dict(day_foreground="gone.pth")))],
        )
    )
    assert "gone" not in str(without_memory_files(model))
    assert str(model).count("gone") == 3  # a copy
    without_memory_files(Config(dict(adapter=None, style=None, alignment=None)))


def test_a_recorded_config_settles_to_itself(stage_two, tmp_path):
    """Whoever trains by what a run recorded gets the same hooks once, not once more."""
    cfg = load_config(stage_two, dict(freeze=True, tensorboard=True))
    texts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ms2a.apis.training_config.find_spec", lambda name: name)
        for number in range(2):
            before = cfg.pretty_text
            settled = settle_training(cfg, tmp_path, torch.device("cpu"), 3, None, False, strict=True)
            assert cfg.pretty_text == before
            texts.append(config_text(recorded(settled)))
            (tmp_path / f"{number}.py").write_text(texts[-1])
            cfg = load_config(tmp_path / f"{number}.py")
    assert texts[0] == texts[1]
    assert texts[0].count("FrozenBatchNormHook") == texts[0].count("TensorboardLoggerHook") == 1


def test_resumed_run_equals_an_uninterrupted_one(folder, stage_two):
    cfg = load_config(stage_two, {"data.workers_per_gpu": 1, "runner.max_epochs": 3})
    train(cfg, work_dir=folder / "straight", device="cpu", validate=False)
    interrupted = folder / "interrupted"
    interrupted.mkdir()
    shutil.copy(folder / "straight/epoch_1.pth", interrupted)
    # A checkpoint holds the memory: its files may be gone.
    cfg.model.adapter.memory.files = dict(day="gone.pth", night="gone.pth")
    train(cfg, work_dir=interrupted, device="cpu", validate=False, auto_resume=True)

    straight, resumed = (torch.load(folder / run / "epoch_3.pth") for run in ("straight", "interrupted"))
    assert straight["meta"]["iter"] == resumed["meta"]["iter"]
    assert straight["state_dict"].keys() == resumed["state_dict"].keys()
    assert any(name.startswith("ema_") for name in straight["state_dict"])
    for name, value in straight["state_dict"].items():
        torch.testing.assert_close(resumed["state_dict"][name], value, rtol=0, atol=1e-6, equal_nan=True)
    momenta = [checkpoint["optimizer"]["state"] for checkpoint in (straight, resumed)]
    for number, state in momenta[0].items():
        torch.testing.assert_close(momenta[1][number], state, rtol=0, atol=1e-6)
    # The test could not fail if training changed nothing.
    first = weights(folder / "straight/epoch_1.pth")
    assert not torch.equal(
        first["backbone.stem.conv.conv.weight"], straight["state_dict"]["backbone.stem.conv.conv.weight"]
    )


@pytest.fixture(scope="module")
def untrained(folder, stage_two):
    """An epoch of stage II with learning rate 0: its work directory."""
    cfg = load_config(stage_two, settings(optimizer=dict(type="SGD", lr=0.0), **{"log_config.interval": 50}))
    train(cfg, work_dir=folder / "untrained", device="cpu", validate=False)
    return folder / "untrained"


def test_stage_two_starts_from_the_base_stage_and_reads_its_memory_files(folder, base, untrained):
    before, after = weights(base / "latest.pth"), weights(untrained / "latest.pth")
    name = "neck.out_convs.0.conv.weight"
    assert torch.equal(before[name], after[name])
    prototypes = torch.load(folder / "night_cluster.pth", weights_only=True)["feats1"]
    assert torch.equal(after["adapter.memory.memories.night.prototypes0"], prototypes)
    assert "left as they were: adapter (" in log_of(untrained)
    assert "Epoch [1][4/4]" in log_of(untrained)  # though the log's interval is 50


def test_freezing_trains_predictors_residuals_and_foreground_only(folder, base, stage_two, untrained):
    cfg = load_config(stage_two, settings(freeze=True, custom_hooks=[]))
    train(cfg, work_dir=folder / "frozen", device="cpu", validate=False)
    # The same seed gives the same fresh weights; the base stage's batch norms as they were before the epoch.
    before = weights(untrained / "latest.pth") | weights(base / "latest.pth")
    after = weights(folder / "frozen/latest.pth")
    assert all(not value.any() for name, value in after.items() if "adapter" in name and "running_mean" in name)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert any("residual" in name for name in changed) and any(name.startswith("foreground.") for name in changed)
    parts = ("bbox_head.multi_level_conv_", "residual", "foreground.")
    changed = {name for name in changed if not any(part in name for part in parts)}
    assert [name for name in changed if "running_" not in name and "num_batches" not in name] == []
    assert [name for name in changed if not name.startswith("adapter.")] == []


def test_a_single_part_can_be_left_to_train(folder, base, stage_two, untrained):
    train(load_config(stage_two, settings(freeze="residual")), work_dir=folder / "alone", device="cpu", validate=False)
    assert "frozen except 6 tensors whose names contain residual" in log_of(folder / "alone")


def test_other_classes_start_the_base_stages_classifiers_anew(folder, base, tmp_path):
    make_domains(tmp_path / "data", classes=("bolt", "nut"), n_images=2)
    path = make_config(
        tmp_path / "other.py", tmp_path / "data", classes=("bolt", "nut"), load_from=str(base / "latest.pth")
    )
    cfg = load_config(path, settings(optimizer=dict(type="SGD", lr=0.0)))
    train(cfg, work_dir=tmp_path / "run", device="cpu", validate=False)
    after = weights(tmp_path / "run/latest.pth")
    assert after["bbox_head.multi_level_conv_cls.0.weight"].shape[0] == 2
    name = "bbox_head.multi_level_conv_reg.0.weight"
    assert torch.equal(after[name], weights(base / "latest.pth")[name])
    assert "trained on 1 classes; the class layers of none are taken over, those of bolt, nut start anew" in log_of(
        tmp_path / "run"
    )


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def write_bad_checkpoint(kind, good, path):
    if kind == "truncated":
        path.write_bytes(good.read_bytes()[:1000])
    elif kind == "malicious":
        torch.save(dict(state_dict=dict(weight=Evil())), path)
    elif kind == "no weights":
        torch.save(dict(meta=dict(epoch=1)), path)
    return path


@pytest.mark.parametrize("option", ["load_from", "resume_from"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "does not exist"),
        ("truncated", "may be truncated|damaged"),
        ("malicious", "was refused"),
        ("no weights", "holds no weights"),
    ],
)
def test_bad_checkpoints_are_one_clear_line(folder, base, tmp_path, option, kind, message):
    path = write_bad_checkpoint(kind, base / "epoch_2.pth", tmp_path / "bad.pth")
    cfg = load_config(folder / "base.py", settings(**{option: str(path)}))
    with pytest.raises(UserError, match=f"{option} .*bad.pth.*({message})") as caught:
        train(cfg, work_dir=tmp_path / "run", device="cpu", validate=False)
    assert "\n" not in str(caught.value)


def refusal(path, work_dir, options, **kwargs):
    with pytest.raises(UserError) as caught:
        train(load_config(path, settings(**options)), work_dir=work_dir, device="cpu", validate=False, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("stage", ["base.py", "two.py"])
def test_a_training_that_diverges_says_where_and_blames_no_memory(folder, stage_two, tmp_path, stage, recwarn):
    options = {"optimizer.lr": 1e30, "lr_config.warmup": None, "data.samples_per_gpu": 1}
    message = refusal(folder / stage, tmp_path, options)
    assert re.match(r"training has failed in iteration [23], epoch 1: .*, at a learning rate of \de\+\d\d; ", message)
    assert message.endswith("There is no checkpoint yet")
    assert not [warning for warning in recwarn if "memory" in str(warning.message)]


def test_stage_two_refuses_other_classes_and_names_both_lists(base, tmp_path):
    make_domains(tmp_path / "data", classes=("gear",), n_images=2)
    memory = make_memory(tmp_path)
    path = make_config(tmp_path / "two.py", tmp_path / "data", classes=("gear",), memory=memory)
    message = refusal(path, tmp_path / "run", {"load_from": str(base / "latest.pth")})
    assert "class lists differ" in message and "['part']" in message and "['gear']" in message


def test_a_detector_of_another_size_is_refused(folder, base, tmp_path):
    options = {"load_from": str(base / "latest.pth"), "model.backbone.deepen_factor": 1.0}
    assert "has another backbone" in refusal(folder / "base.py", tmp_path, options)
    options = {
        "load_from": str(base / "latest.pth"),
        "model.bbox_head.feat_channels": 16,
    }
    message = refusal(folder / "base.py", tmp_path, options)
    assert "does not fit the detector: size mismatch for bbox_head." in message


def test_resuming_refuses_another_detector_and_foreign_weights(base, stage_two, tmp_path):
    message = refusal(stage_two, tmp_path, {}, resume_from=base / "latest.pth")
    assert "comes from another detector" in message and "absent there" in message
    checkpoint = torch.load(base / "latest.pth")
    del checkpoint["optimizer"]
    torch.save(checkpoint, tmp_path / "published.pth")
    message = refusal(stage_two, tmp_path, {}, resume_from=tmp_path / "published.pth")
    assert "has no optimizer: to start from its weights, use load_from" in message
    checkpoint["optimizer"], checkpoint["meta"]["world_size"] = {}, 4
    torch.save(checkpoint, tmp_path / "four.pth")
    message = refusal(stage_two, tmp_path, {}, resume_from=tmp_path / "four.pth")
    assert "was trained by 4 processes, this run has 1" in message


def test_class_count_of_the_head(folder, tmp_path):
    message = refusal(folder / "base.py", tmp_path, {"model.bbox_head.num_classes": 3})
    assert "num_classes=3" in message and "1 classes ['part']" in message


def test_the_image_cache_says_its_size_and_changes_nothing(folder, tmp_path):
    for limit_mb in (0, 1):
        cfg = load_config(folder / "base.py", settings(image_cache_mb=limit_mb, **{"runner.max_epochs": 2}))
        train(cfg, work_dir=tmp_path / str(limit_mb), device="cpu", validate=False)
    assert "image cache" not in log_of(tmp_path / "0")
    assert "image cache: room for 4 images, 0 MB of at most 1 MB" in log_of(tmp_path / "1")
    without, cached = (weights(tmp_path / run / "latest.pth") for run in ("0", "1"))
    assert all(torch.equal(cached[name], value) for name, value in without.items())


def test_a_cache_needs_a_size(folder, tmp_path):
    expected = "'image_cache_mb' is -1, expected greater than or equal to 0"
    assert expected in refusal(folder / "base.py", tmp_path, {"image_cache_mb": -1})


def test_losses_go_to_a_table_and_to_tensorboard_where_that_is_installed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ms2a.apis.train.train_detector", lambda model, datasets, cfg, *_: used.append(cfg))
    both, table = ["CsvLoggerHook", "TensorboardLoggerHook"], ["CsvLoggerHook"]
    for installed, switch, expected in (
        (True, None, both),
        (True, True, both),
        (True, False, table),
        (False, None, table),
        (False, False, table),
    ):
        monkeypatch.setattr(
            "ms2a.apis.training_config.find_spec", lambda name, there=installed: name if there else None
        )
        used, work_dir = [], tmp_path / f"{installed}{switch}"
        train(load_config(folder / "base.py", settings(tensorboard=switch)), work_dir=work_dir, device="cpu")
        assert [hook["type"] for hook in used[0].log_config.hooks] == ["TextLoggerHook", *expected]
        why = "" if expected == both else "tensorboard=False" if installed else "tensorboard is not installed"
        assert f"losses: {work_dir}/training.csv" in log_of(work_dir) and why in log_of(work_dir)
    assert "pip install tensorboard" in refusal(folder / "base.py", tmp_path, {"tensorboard": True})


def test_the_table_of_losses_goes_on_where_a_resumed_run_does(folder, tmp_path):
    """Four images in batches of two: two iterations an epoch; the second is evaluated."""
    config = load_config(folder / "base.py", settings(**{"runner.max_epochs": 2}))
    train(config, work_dir=tmp_path, device="cpu")
    rows = read_training(tmp_path / "training.csv")
    assert [(row["mode"], row["epoch"], row["iteration"]) for row in rows] == [
        ("train", 0.5, 1),
        ("train", 1, 2),
        ("train", 1.5, 3),
        ("train", 2, 4),
        ("val", 2, 4),
    ]
    assert rows[0]["loss"] == pytest.approx(sum(value for key, value in rows[0].items() if key.startswith("loss_")))
    assert "night_bbox_mAP" in rows[-1] and "night_bbox_mAP" not in rows[0] and rows[0]["lr"] > 0
    assert list((tmp_path / "tf_logs").glob("events.*"))
    train(config, work_dir=tmp_path, device="cpu", resume_from=tmp_path / "epoch_1.pth", validate=False)
    again = read_training(tmp_path / "training.csv")
    assert [row["iteration"] for row in again] == [1, 2, 3, 4] and again[:2] == rows[:2]


def test_choosing_by_target_labels_is_said(folder, tmp_path):
    for key, warned in (("night_bbox_mAP", True), ("day_bbox_mAP", False), ("auto", True)):
        cfg = load_config(folder / "base.py", settings(**{"evaluation.save_best": key, "load_from": "gone"}))
        with pytest.raises(UserError):
            train(cfg, work_dir=tmp_path / key, device="cpu")
        log = log_of(tmp_path / key)
        assert f"checkpoint choice: best {key}" in log
        assert ("by labels of the target night; day_bbox_mAP would not use them" in log) == warned


@pytest.mark.parametrize("key", ["dya_bbox_mAP", "day_bbox_map", "mAP"])
def test_choosing_by_a_score_that_nobody_gives_is_refused(folder, tmp_path, key):
    cfg = load_config(folder / "base.py", settings(**{"evaluation.save_best": key}))
    with pytest.raises(UserError, match=f"save_best='{key}' is no score of the validation; expected .*'day_bbox_mAP'"):
        train(cfg, work_dir=tmp_path, device="cpu")


def test_validation_in_batches(folder, tmp_path):
    cfg = load_config(
        folder / "base.py",
        settings(**{"data.val_dataloader.samples_per_gpu": 2, "evaluation.interval": 1}),
    )
    train(cfg, work_dir=tmp_path, device="cpu")
    assert "night_bbox_mAP" in log_of(tmp_path)


class FailingDataset(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UserError("image a.png is unreadable")


def test_an_error_in_a_loader_worker_is_one_line():
    loader = torch.utils.data.DataLoader(FailingDataset(), num_workers=1)
    with pytest.raises(UserError, match="^image a.png is unreadable$"), one_line_worker_errors():
        next(iter(loader))


@pytest.mark.parametrize("stage", ["one", "two"])
def test_strict_training_stops_at_an_unreadable_image(folder, stage_two, tmp_path, stage):
    data = tmp_path / "data"
    shutil.copytree(folder / "data", data)
    (data / "day" / "images" / "001.png").write_bytes(b"no image")
    path = stage_two if stage == "two" else folder / "base.py"
    options = settings(**{f"data_roots.{domain}": str(data / domain) for domain in ("day", "night")})
    cfg = load_config(path, options)
    train(cfg, work_dir=tmp_path / "lenient", device="cpu", validate=False)
    assert "skipped unreadable image" in log_of(tmp_path / "lenient")
    with pytest.raises(UserError, match=r"image .*001\.png is missing or unreadable"):
        train(cfg, work_dir=tmp_path / "strict", device="cpu", validate=False, strict=True)
