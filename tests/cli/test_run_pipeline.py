"""The whole pipeline on tiny data, through its command line."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml

from tests.tiny import ROOT, make_coco


@pytest.mark.slow
def test_both_stages_end_in_a_summary_and_a_second_start_does_nothing_again(tmp_path):
    for name in ("a", "b", "b_test"):
        make_coco(tmp_path / name, n_images=8, seed=len(name))
    task = dict(
        name="tiny",
        classes=["part"],
        image_size=[64, 96],
        source=dict(domain="line_a", train=dict(annotations="a/annotations.json", images="a/images")),
        target=dict(
            domain="line_b",
            train=dict(annotations="b/annotations.json", images="b/images"),
            num_annotated=3,
            unlabelled="b/images",
            test=dict(annotations="b_test/annotations.json", images="b_test/images"),
        ),
        epochs=dict(base=6, source_training=4, target_training=5),
    )
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    command = [sys.executable, "tools/run_pipeline.py", str(tmp_path / "task.yaml"), "--device", "cpu"]
    command += ["--work-dir", str(tmp_path / "work"), "--cfg-options", "num_prototypes=8"]
    command += ["colour_prob=0.8", "num_colours=3", "zero_init=True"]

    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    summary = json.loads((tmp_path / "work" / "summary.json").read_text())
    assert set(summary["results"]) == {"source only", "MS2A"}
    for metrics in summary["results"].values():
        assert set(metrics) == {"line_b mAP", "line_b mAP_50"}
        assert all(0 <= value <= 100 for value in metrics.values())
    names = [step["name"] for step in summary["steps"]]
    assert names[-1] == "draw" and "cluster_colours" in names
    assert cv2.imread(str(tmp_path / "work" / "summary.png")).shape[1] > 1000
    assert len(list((tmp_path / "work" / "drawn").rglob("*.png"))) == 8

    checkpoint = tmp_path / "work" / "target_training" / "latest.pth"
    before = checkpoint.stat().st_mtime_ns
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0 and second.stdout.count("done before") == len(summary["steps"])
    assert checkpoint.stat().st_mtime_ns == before
    assert np.isfinite(summary["steps"][0]["seconds"])
