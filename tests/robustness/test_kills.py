"""Kills at every step, of one process of two, and two pipelines at once: nothing is lost or done twice."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.tiny import ROOT, make_config, make_domains, make_memory, make_task

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
OPTIONS = ["num_prototypes=4", "workers_per_gpu=0", "colour_prob=0.5", "num_colours=2"]
STEPS = ["base", "extract_line_a", "extract_line_b", "cluster", "extract_colour_line_b", "cluster_colours"]
STEPS += ["source_training", "target_training", "test_source_only", "test_target_training", "draw"]


@pytest.fixture
def start():
    """Starts a pipeline; none outlives the test."""
    started = []

    def begin(task, work_dir):
        started.append(_start(task, work_dir))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def _start(task, work_dir):
    command = [sys.executable, "-m", "ms2a.cli", "pipeline", str(task), "--work-dir", str(work_dir), "--device", "cpu"]
    output = open(work_dir.with_suffix(".log"), "ab")
    return subprocess.Popen([*command, "--cfg-options", *OPTIONS], env=ENVIRONMENT, stdout=output, stderr=output)


def wait_for(condition, process, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state_of(work_dir, step):
    path = work_dir / "steps" / f"{step}.json"
    return json.loads(path.read_text())["state"] if path.exists() else None


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def leftovers(folder):
    """Files that a process was about to write, or that it held."""
    return [path.name for path in folder.rglob(".*")]


@pytest.mark.slow
@pytest.mark.timeout(7200)  # two dozen starts of Python, each of ten seconds to a minute
def test_a_pipeline_killed_at_every_step_ends_as_one_that_was_not(tmp_path, start):
    task = make_task(tmp_path, epochs=dict(base=6, source_training=4, target_training=5))
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert start(task, straight).wait() == 0
    for number, step in enumerate(STEPS):
        process = start(task, killed)
        wait_for(lambda step=step: state_of(killed, step) == "started", process)
        if step == "base":
            second = start(task, killed)
            assert second.wait() == 2
            assert "is in use, the pipeline by process" in killed.with_suffix(".log").read_text()
        time.sleep(0.4 * (number % 5))  # while it starts, or while it works
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert state_of(killed, step) == "started"
    assert start(task, killed).wait() == 0
    told = killed.with_suffix(".log").read_text()
    assert "Traceback" not in told
    for stage in ("base", "source_training", "target_training"):
        assert same(weights(straight / stage / "latest.pth"), weights(killed / stage / "latest.pth")), stage
    results = [json.loads((folder / "summary.json").read_text())["results"] for folder in (straight, killed)]
    assert results[0] == results[1]
    attempts = {record.stem: json.loads(record.read_text())["attempts"] for record in killed.glob("steps/*.json")}
    assert attempts == dict.fromkeys(STEPS, 2)
    assert leftovers(killed) == leftovers(straight) == []
    drawn = [sorted(path.name for path in (folder / "drawn").iterdir()) for folder in (straight, killed)]
    assert drawn[0] == drawn[1]


@pytest.mark.slow
def test_of_two_processes_one_is_killed_and_told_and_the_run_goes_on(tmp_path):
    make_domains(tmp_path / "data", n_images=6)
    config = make_config(tmp_path / "two.py", tmp_path / "data", memory=make_memory(tmp_path))
    command = [sys.executable, str(ROOT / "tools/launch.py"), "train.py", "2", str(config), "--no-validate"]
    command += ["--auto-resume", "--cfg-options", "runner.max_epochs=3", "--work-dir"]
    subprocess.run([*command, str(tmp_path / "straight")], env=ENVIRONMENT, check=True, capture_output=True)
    process = subprocess.Popen([*command, str(tmp_path / "killed")], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "killed" / "epoch_1.pth").exists, process)
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(ranks[-1]), signal.SIGKILL)
    told = process.communicate()[1]
    assert process.returncode == 1
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert "of 2 was ended by SIGKILL" in line and "--auto-resume" in line
    subprocess.run([*command, str(tmp_path / "killed")], env=ENVIRONMENT, check=True, capture_output=True)
    assert same(*(weights(tmp_path / name / "latest.pth") for name in ("straight", "killed")))
    assert leftovers(tmp_path / "killed") == []
