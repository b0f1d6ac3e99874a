"""tools/benchmark.py on a tiny task of one's own."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from ms2a.errors import UserError
from tests.tiny import ROOT, make_task, result_line, tool


@pytest.mark.slow
def test_runs_are_lines_that_are_not_done_twice_and_make_a_report(tmp_path):
    command = [sys.executable, "tools/benchmark.py", "--tasks", str(make_task(tmp_path)), "--seeds", "1", "2"]
    command += ["--methods", "source_only", "adabn", "--work-dir", str(tmp_path / "work"), "--device", "cpu"]
    command += ["--jobs", "2", "--cfg-options", "test_batch_size=2"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    results = tmp_path / "work" / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["method"], line["seed"]) for line in lines] == [
        ("adabn", 1), ("adabn", 2), ("source_only", 1), ("source_only", 2)
    ]  # fmt: skip
    for line in lines:
        assert (line["task"], line["shots"], line["kind"]) == ("line_b", 3, "baseline")
        assert set(line["metrics"]) == {"target mAP", "target mAP_50", "source mAP", "source mAP_50"}
        assert line["cfg_options"] == {"test_batch_size": 2}
        assert line["peak_mib"] > 100 and line["provenance"]["versions"]["torch"]
    assert "### line_a → line_b, 3 annotated images, small detector from random weights\n" in first.stdout
    assert (tmp_path / "work" / "line_a_to_line_b_3.png").exists()

    checkpoint = tmp_path / "work" / "task" / "seed2" / "base" / "latest.pth"
    before = checkpoint.stat().st_mtime_ns
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0
    assert checkpoint.stat().st_mtime_ns == before
    assert [json.loads(line)["metrics"] for line in results.read_text().splitlines()] == [
        line["metrics"] for line in lines
    ]


def test_a_task_file_without_a_pool_says_itself_how_many_images_are_annotated(tmp_path):
    task = make_task(tmp_path)
    content = yaml.safe_load(task.read_text())
    del content["target"]["num_annotated"]
    task.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="leave out `shots`, or let its target have num_annotated"):
        tool("tools/benchmark.py")(["--tasks", task, "--shots", 10, "--seeds", 1, "--work-dir", tmp_path / "work"])


def test_the_report_says_what_is_missing_of_what_was_asked_for(tmp_path, capsys):
    names = ("source", "task", "shots", "method", "seed", "iterations", "detector", "weights")
    asked = [{name: result_line("joint", seed, 50.0)[name] for name in names} for seed in (1, 2)]
    (tmp_path / "results.jsonl").write_text(json.dumps(result_line("joint", 1, 50.0)) + "\n")
    (tmp_path / "results_wanted.json").write_text(json.dumps(asked))
    tool("tools/benchmark.py")(["--report", "--results", tmp_path / "results.jsonl"])
    out = capsys.readouterr().out
    assert "Missing: 1 runs that were asked for" in out and "| JOINT | 1" in re.sub(" +", " ", out)


def test_methods_are_compared_over_files(tmp_path, capsys):
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for task, file in zip("ab", files, strict=True):
        found = [
            result_line(name, seed, score, task=task)
            for name, score in (("joint", 50), ("ours", 54))
            for seed in (1, 4)
        ]
        file.write_text("".join(json.dumps(line) + "\n" for line in found))
    tool("tools/benchmark.py")(["--against", "joint", "--metric", "mAP50", "--results", *files])
    out = re.sub(" +", " ", capsys.readouterr().out)
    assert "| OURS | 54.0 ± – (+4.0 ± –) | 54.0 ± – (+4.0 ± –) | +4.0 ± 0.0 | 2 |" in out
    with pytest.raises(UserError, match="results=2 files.*expected one"):
        tool("tools/benchmark.py")(["--report", "--results", *files])
