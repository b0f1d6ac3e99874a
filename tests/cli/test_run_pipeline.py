"""The whole pipeline on tiny data, from Python and through its command line."""

import json
import subprocess
import sys

import cv2
import pytest

from ms2a.pipeline.run import run_pipeline
from tests.tiny import ROOT, make_task


@pytest.mark.slow
def test_both_stages_end_in_a_summary_and_a_second_start_does_nothing_again(tmp_path, monkeypatch):
    task = make_task(tmp_path, epochs=dict(base=6, source_training=4, target_training=5))
    options = dict(num_prototypes=8, colour_prob=0.8, num_colours=3, zero_init=True)
    command = [sys.executable, "tools/run_pipeline.py", str(task), "--device", "cpu"]
    command += [
        "--work-dir",
        str(tmp_path / "work"),
        "--cfg-options",
        *(f"{key}={value}" for key, value in options.items()),
    ]

    said = []
    monkeypatch.chdir(ROOT)
    summary = run_pipeline(
        task, tmp_path / "work", device="cpu", cfg_options=options, say=lambda text, **_: said.append(text)
    )
    assert summary == json.loads((tmp_path / "work" / "summary.json").read_text())
    assert said[-2] == (tmp_path / "work" / "summary.txt").read_text()
    assert set(summary["results"]) == {"source only", "MS2A"}
    for metrics in summary["results"].values():
        assert set(metrics) == {f"{domain} {score}" for domain in ("line_a", "line_b") for score in ("mAP", "mAP_50")}
    names = [step["name"] for step in summary["steps"]]
    assert names[-1] == "draw" and "cluster_colours" in names
    assert cv2.imread(str(tmp_path / "work" / "summary.png")).shape[1] > 1000
    assert len(list((tmp_path / "work" / "drawn").rglob("*.png"))) == 8

    checkpoint = tmp_path / "work" / "target_training" / "latest.pth"
    before = checkpoint.stat().st_mtime_ns
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0 and second.stdout.count("done before") == len(summary["steps"])
    assert checkpoint.stat().st_mtime_ns == before
