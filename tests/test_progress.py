"""Bars on a terminal, lines elsewhere, wherever something takes long."""

import io
import re
import sys
from pathlib import Path

import pytest
import torch

from ms2a import progress
from ms2a.benchmark.indus_synth import Sizes, make_benchmark
from ms2a.memory.clustering import cluster_maps

PACKAGE = Path(progress.__file__).parent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch, stream, work):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    monkeypatch.setattr(sys, "stderr", stream)
    work()
    monkeypatch.undo()
    return stream.getvalue()


def three_steps():
    with progress.Progress(total=3, desc="epoch 1/2", leave=False) as bar:
        for loss in ("3.0", "2.0"):
            bar.set_postfix_str(f"loss {loss}", refresh=False)
            bar.update()


def test_without_a_terminal_the_bar_becomes_lines(monkeypatch):
    text = shown(monkeypatch, io.StringIO(), three_steps)
    assert "\r" not in text
    assert text.splitlines()[1] == "epoch 1/2: 1 of 3, loss 3.0, 00:00 left"


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert re.search(r"\repoch 1/2: +\d+%\|.*/3 \[", shown(monkeypatch, Terminal(), three_steps))


def test_short_work_says_nothing_in_a_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    three_steps()
    assert stream.getvalue() == ""


def render(folder):
    tiny = Sizes(train=2, val=1, pool=2, unlabelled=1, test=1, shots=(1,), split_seeds=1)
    return lambda: make_benchmark(folder, sizes=tiny, workers=1)


def cluster(_):
    maps = torch.randn(40, 2, 2, generator=torch.Generator().manual_seed(0))
    return lambda: cluster_maps(maps, 3, seed=0, progress="day, level 1")


@pytest.mark.parametrize(
    ("work", "label"), [(render, "rendering"), (cluster, "day, level 1")], ids=["render", "cluster"]
)
def test_long_work_writes_lines_into_a_log(work, label, monkeypatch, tmp_path):
    text = shown(monkeypatch, io.StringIO(), work(tmp_path / "out"))
    assert f"{label}: " in text and "\r" not in text


def test_every_bar_is_of_this_kind():
    bare = [
        path for path in PACKAGE.rglob("*.py") if re.search(r"\btqdm(\.wrapattr)?\(", path.read_text(encoding="utf-8"))
    ]
    assert bare == []
