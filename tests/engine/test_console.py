"""What a training shows: a bar or plain lines, a line an epoch, warnings; the rest in the log file."""

import io
import logging
import re
import sys
import warnings

import mmcv
import pytest

from ms2a.apis.train import train
from ms2a.config import load_config
from ms2a.engine import console
from ms2a.pipeline.runner import Runner, Step
from tests.tiny import make_config, make_domains

STOCK_BAR = mmcv.ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_domains(tmp_path_factory.mktemp("console"), n_images=4)
    make_config(folder / "config.py", folder)
    return folder


def run(folder, work_dir, monkeypatch, stream, **options):
    """Trains two epochs with an evaluation at the end; returns (what is shown, what stdout got, the log)."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", out)
    resume = dict(auto_resume=options.pop("auto_resume", False))
    train(load_config(folder / "config.py", options), work_dir, device="cpu", **resume)
    monkeypatch.undo()
    log = max(work_dir.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    return stream.getvalue(), out.getvalue(), log


def test_people_see_a_line_an_epoch_with_losses_and_scores_and_the_log_has_the_rest(folder, tmp_path, monkeypatch):
    shown, out, log = run(folder, tmp_path, monkeypatch, io.StringIO())
    lines = shown.splitlines()
    assert str(log) in lines[0]
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert re.fullmatch(r"epoch 2/2: loss \d+\.\d+ \(cls .*\), \d+ s; night mAP [\d.]+; day mAP [\d.]+", epochs[1])
    assert "mAP" not in epochs[0]
    assert out == "" and len(lines) < 10
    text = log.read_text()
    for only_in_the_log in ("TextLoggerHook", "Epoch [1][1/", "Accumulating evaluation results"):
        assert only_in_the_log in text and only_in_the_log not in shown
    assert mmcv.ProgressBar is STOCK_BAR


def test_the_losses_of_an_epoch_are_means_over_its_iterations(folder, tmp_path, monkeypatch):
    shown, _, log = run(folder, tmp_path, monkeypatch, io.StringIO())
    logged = re.findall(r"Epoch \[1\]\[\d+/\d+\].* loss: ([\d.]+)", log.read_text())
    mean = sum(map(float, logged)) / len(logged)
    assert len(logged) > 1
    assert float(re.search(r"epoch 1/2: loss ([\d.]+)", shown)[1]) == pytest.approx(mean, abs=2e-3)


def test_a_terminal_gets_a_bar_with_loss_and_time_left(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown, _, _ = run(folder, tmp_path, monkeypatch, Terminal())
    assert re.search(r"\repoch 1/2: +\d+%\|.*\d+/4 \[[\d:]+<[\d:]+, .*loss \d", shown)
    assert re.search(r"\revaluating: +\d+%\|.*/8", shown)
    assert "\nepoch 2/2: loss" in shown.replace("\r", "\n")


def test_a_resumed_training_starts_its_bar_where_it_goes_on(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    run(folder, tmp_path, monkeypatch, io.StringIO(), **{"runner.max_epochs": 1})
    shown, _, _ = run(folder, tmp_path, monkeypatch, Terminal(), auto_resume=True)
    assert " 2/4 [" in shown and " 1/4 [" not in shown


def test_warnings_of_anybody_are_shown(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logger = logging.Logger("any")
    logger.addHandler(logging.StreamHandler(stream))
    console.show_what_people_need(logger)
    logger.info("not from the package")
    logger.warning("beware")
    assert stream.getvalue() == "warning: beware\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.warning("%d dropped", 3)
    assert stream.getvalue().endswith("warning: 3 dropped\n")


def test_verbose_shows_the_whole_log(folder, tmp_path, monkeypatch):
    shown, _, _ = run(folder, tmp_path, monkeypatch, io.StringIO(), verbose=True)
    assert "TextLoggerHook" in shown and "Epoch [1][1/" in shown and "\nepoch 1/2" not in shown


def test_the_pipeline_passes_its_steps_output_on(tmp_path, capfd):
    code = "import sys; sys.stderr.write('epoch 1/2: 50%'); print('done')"
    Runner(tmp_path, say=lambda *_, **__: None).run([Step("one", ["-c", code])])
    shown = capfd.readouterr()
    assert "epoch 1/2: 50%" in shown.out + shown.err and "done" in shown.out
