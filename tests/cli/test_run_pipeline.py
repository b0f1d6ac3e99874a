"""The whole pipeline on tiny data, from Python and through its command line."""

import base64
import json
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from ms2a.pipeline.run import run_pipeline
from tests.tiny import ROOT, make_task
from tests.yolox_files import coco_weights


def check_report(work_dir, summary):
    """Scores of the summary, pictures of both runs, losses of all stages, the memory as it was trained."""
    text = (work_dir / "report.html").read_text()
    for domain in ("line_b", "line_a"):
        table = text.split(f"<h3>{domain}:")[1].split("</table>")[0]
        for row, score in (("mAP", "mAP"), ("mAP50", "mAP_50")):
            cells = re.search(rf'name">{row}</td>(.*?)</tr>', table, re.S)[1]
            shown = [float(value) for value in re.findall(r'class="n">(?:<b>)?([\d.]+)', cells)][1:]
            both = [summary["results"][run][f"{domain} {score}"] for run in ("source only", "MS2A")]
            assert shown == pytest.approx(both, abs=0.051)
    gallery, memory = (
        json.loads(re.search(rf'id="{name}-data">(.*?)</script>', text, re.S)[1]) for name in ("gallery", "memory")
    )
    assert len(gallery["pictures"]) == 16 and set(gallery["pictures"][0]["runs"]) == {"before", "after"}
    for stage in ("base", "source_training", "target_training"):
        assert f'href="{stage}/training.csv"' in text and f'id="losses-{stage}-figure_1"' in text
        pictures = re.findall(rf'href="(batches/{stage}/[^"]*)"', text)
        assert pictures and all((work_dir / name).is_file() for name in pictures)
        assert list((work_dir / stage / "tf_logs").glob("events.*"))
    assert text.count("8 prototypes of") == 6 and len(memory["pictures"]) == 6
    weights = np.frombuffer(base64.b64decode(memory["pictures"][0]["weights"][0]), "<u2").reshape(100, 100)
    assert np.ptp(weights) > 0 and "Colours of the memory" in text and "3 of the 3 colour clusters" in text
    assert all((work_dir / name).is_file() for name in re.findall(r'href="(data_[^"]*)"', text))
    assert summary["checkpoint_choice"] in text and f'<td class="name">{summary["detector"]}</td>' in text
    assert "left out" not in text and "total" in text.split('id="times"')[1]


@pytest.mark.slow
@pytest.mark.timeout(3600)
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
    assert said[-3] == (tmp_path / "work" / "summary.txt").read_text()
    assert said[-1] == f"to look at, in a browser: {tmp_path / 'work' / 'report.html'}"
    check_report(tmp_path / "work", summary)
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


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["released", "best"])
def test_both_stages_from_coco_weights(recipe, tmp_path):
    epochs = dict(base=5, source_training=4, target_training=3)
    task = make_task(tmp_path, epochs=epochs, classes=["person"], recipe=recipe)
    weights = coco_weights(tmp_path / "weights")
    for path in tmp_path.glob("*/annotations.json"):
        path.write_text(path.read_text().replace('"part"', '"person"'))
    command = [sys.executable, "tools/run_pipeline.py", str(task), "--device", "cpu", "--work-dir", str(tmp_path / "w")]
    command += ["--cfg-options", "num_prototypes=8"] if recipe == "released" else []
    environment = {**os.environ, "MS2A_WEIGHTS": str(weights.parent)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert f"detector nano, from {weights}" in said
    assert "the class layers of person are taken over, those of none start anew" in said
    assert set(json.loads((tmp_path / "w/summary.json").read_text())["results"]) == {"source only", "MS2A"}
    steps = {step["name"] for step in json.loads((tmp_path / "w/summary.json").read_text())["steps"]}
    assert ("cluster" in steps, "cluster_colours" in steps) == (recipe == "released", recipe == "best")
