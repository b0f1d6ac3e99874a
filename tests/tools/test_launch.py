"""``tools/launch.py``: what it refuses, what it becomes for one process, and what torchrun is asked for several."""

import os
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from tests.tiny import ROOT, tool

launch = tool("tools/launch.py")
TRAIN = str(ROOT / "tools" / "train.py")


class Became(Exception):
    """A process ends where another program takes its place."""


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """No variable of several machines; and what this process becomes is told, not done."""
    for name in ("NNODES", "NODE_RANK", "MASTER_ADDR", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")

    def become(program, words):
        raise Became(program, words)

    monkeypatch.setattr(os, "execv", become)


def see_gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def asked_of_torchrun(monkeypatch, arguments, error=None):
    asked = []

    def run(words):
        asked.extend(words)
        if error:
            raise error

    monkeypatch.setattr(torchrun, "main", run)
    launch(arguments)
    return asked


@pytest.mark.parametrize(("gpus", "device"), [("0", ["--device", "cpu"]), ("1", [])])
def test_one_process_becomes_the_tool(gpus, device):
    with pytest.raises(Became) as became:
        launch(["train.py", gpus, "config.py", "--seed", "3"])
    assert became.value.args == (sys.executable, [sys.executable, TRAIN, "config.py", "--seed", "3", *device])
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "elsewhere"]


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (2, "cuda"), (8, "cuda")])
def test_several_processes_run_under_torchrun(monkeypatch, gpus, device):
    see_gpus(monkeypatch, gpus)
    words = asked_of_torchrun(monkeypatch, ["train.py", "2", "config.py", "--seed", "3"])
    tool_and_its_words = [TRAIN, "config.py", "--seed", "3", "--launcher", "pytorch", "--device", device]
    assert words == ["--standalone", "--nproc_per_node", "2", *tool_and_its_words]


def test_several_machines_meet_at_the_first_ones_address(monkeypatch):
    see_gpus(monkeypatch, 1)
    for name, value in dict(NNODES="2", NODE_RANK="1", MASTER_ADDR="first", PORT="1234").items():
        monkeypatch.setenv(name, value)
    words = asked_of_torchrun(monkeypatch, ["train.py", "1", "config.py"])
    place = words[: words.index("--nproc_per_node")]
    expected = {"--nnodes": "2", "--node_rank": "1", "--master_addr": "first", "--master_port": "1234"}
    assert dict(zip(place[::2], place[1::2], strict=True)) == expected


@pytest.mark.parametrize(
    ("gpus", "seen", "variables", "message"),
    [
        ("two", 0, {}, "GPUS is 'two', expected a number"),
        ("-1", 0, {}, "GPUS is '-1'"),
        ("4", 2, {}, "GPUS is 4, but torch sees 2 GPUs here"),
        ("2", 2, dict(NNODES="2"), "NNODES is 2: set MASTER_ADDR"),
    ],
)
def test_refusals_are_one_line_and_exit_2(monkeypatch, capsys, gpus, seen, variables, message):
    see_gpus(monkeypatch, seen)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        asked_of_torchrun(monkeypatch, ["train.py", gpus, "config.py"])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and message in told and told.count("\n") == 1


@pytest.mark.parametrize(("exitcodes", "expected"), [([2], 2), ([-9], 1), ([7, 2], 7)])
def test_the_exit_status_is_that_of_the_process_that_failed_first(monkeypatch, exitcodes, expected):
    failures = {
        rank: SimpleNamespace(exitcode=code, timestamp=rank, local_rank=rank, message="", pid=1)
        for rank, code in enumerate(exitcodes)
    }
    error = ChildFailedError.__new__(ChildFailedError)
    error.failures = failures
    with pytest.raises(SystemExit) as ended:
        asked_of_torchrun(monkeypatch, ["train.py", "2", "config.py"], error)
    assert ended.value.code == expected


def test_a_signal_ends_all_with_the_shells_status(monkeypatch):
    with pytest.raises(SystemExit) as ended:
        asked_of_torchrun(monkeypatch, ["train.py", "2", "config.py"], SignalException("stop", sigval=15))
    assert ended.value.code == 128 + 15
