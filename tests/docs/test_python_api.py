"""The examples of docs/python_api.md, run one after the other as a reader would."""

import re

import cv2
import numpy as np
import pytest

from tests.tiny import ROOT, calibrate, make_checkpoint, make_config, make_domains, make_memory, make_task

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python_api.md").read_text(), re.M | re.S)
LONG = "run_pipeline"
WORK = "work_dirs/my_factory"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What a task called my_factory leaves behind, with random weights, and a photograph."""
    data = make_domains(tmp_path / "data")
    for old, new in (("day", "line_a"), ("night", "line_b")):
        (data / old).rename(data / new)
    start = dict(load_from=f"{WORK}/target_training/latest.pth")  # of the stage before, in a settled config
    config = make_config(
        tmp_path / WORK / "configs" / "target_training.py", data, memory=make_memory(tmp_path), **start
    )
    text = re.sub(r"\bday\b", "line_a", re.sub(r"\bnight\b", "line_b", config.read_text()))
    config.write_text(re.sub(r"'files': \{.*?\}", "'files': None", text).replace("'max_epochs': 2", "'max_epochs': 1"))
    (tmp_path / WORK / "target_training").mkdir()
    calibrate(make_checkpoint(tmp_path / WORK / "target_training" / "latest.pth", config), config, domain="line_b")
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.random.default_rng(0).integers(0, 255, (150, 220, 3), dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(examples):
    names = {}
    for example in examples:
        exec(compile(example, "docs/python_api.md", "exec"), names)
    return names


def test_the_examples_run(folder):
    names = run(example for example in EXAMPLES if LONG not in example)
    assert names["detector"].domains == ["line_a", "line_b"] and len(names["results"]) == 4
    assert all(result.size_hw == (150, 220) for result in names["results"])
    assert cv2.imread("drawn.png") is not None
    assert len(names["annotations"]) == len(names["dictionaries"])
    assert (folder / "out" / "photo.jpg").exists() and names["summary"].num_images == 1
    assert "line_b_bbox_mAP" in names["scores"] and names["checkpoint"].exists()
    assert np.concatenate(names["boxes_of_each_class"]).shape[1] == 5


@pytest.mark.slow
def test_the_example_of_both_stages_runs(tmp_path, monkeypatch):
    task = make_task(tmp_path, name="my_factory", epochs=dict(base=6, source_training=4, target_training=5))
    task.rename(tmp_path / "my_task.yaml")
    monkeypatch.chdir(tmp_path)
    names = run(example for example in EXAMPLES if LONG in example)
    scores = {f"{domain} {score}" for domain in ("line_b", "line_a") for score in ("mAP", "mAP_50")}
    assert set(names["summary"]["results"]["MS2A"]) == scores
    assert (tmp_path / WORK / "target_training" / "latest.pth").exists()
