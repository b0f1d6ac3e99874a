"""Reports of work folders of every kind, through the commands that make them."""

import json
import re

import pytest

from ms2a.artefacts import write_json
from ms2a.engine.training_csv import TRAINING_CSV
from ms2a.errors import UserError
from ms2a.pipeline.report import write_report
from ms2a.pipeline.stages import write_configs
from ms2a.pipeline.task import adaptation_of, read_task
from tests.tiny import calibrate, make_checkpoint, make_config, make_domains, make_memory, make_task, tool

report = tool("tools/report.py")


def embedded(text, name):
    return json.loads(re.search(rf'id="{name}-data">(.*?)</script>', text, re.S)[1])


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """The work folder of one test of a detector with a memory."""
    folder = tmp_path_factory.mktemp("report")
    classes = ("part", "plate & <b>nut</b>")
    config = make_config(
        folder / "two.py",
        make_domains(folder / "data", classes),
        classes,
        make_memory(folder),
        runner=dict(max_epochs=1),
    )
    checkpoint = make_checkpoint(folder / "two.pth", config, classes)
    calibrate(checkpoint, config)
    arguments = [config, checkpoint, "--eval", "bbox", "--work-dir", folder / "tested", "--device", "cpu"]
    # The report takes the options that the test was given.
    tool("tools/test.py")([*arguments, "--cfg-options", "model.test_cfg.max_per_img=50"])
    return folder / "tested"


def test_a_single_test_has_a_report(tested, capsys):
    report([tested])
    assert f"{tested / 'report.html'}, " in capsys.readouterr().out
    text = (tested / "report.html").read_text()
    assert re.search(r"engine</td><td[^>]*>torch</td>.*precision</td><td[^>]*>float32</td>", text, re.S)
    metrics = json.loads((tested / "metrics.json").read_text())["metrics"]
    for domain in ("night", "day"):
        table = text.split(f"<h3>{domain}:")[1].split("</table>")[0]
        for row, score in (("mAP", "mAP"), ("mAP50", "mAP_50"), ("mAP75", "mAP_75")):
            shown = re.search(rf'name">{row}</td>.*?<b>([\d.]+)</b>', table, re.S)[1]
            assert float(shown) == pytest.approx(100 * metrics[f"{domain}_bbox_{score}"], abs=0.051)
        assert "plate &amp; &lt;b&gt;nut" in table
    gallery = embedded(text, "gallery")
    assert [picture["name"] for picture in gallery["pictures"]] == [f"{number:03d}.png" for number in (1, 2, 3, 4)] * 2
    truth = json.loads((tested.parent / "data/night/annotations.json").read_text())
    first = [item for item in truth["annotations"] if item["image_id"] == 1]
    assert gallery["pictures"][0]["truth"] == [[*item["bbox"], item["category_id"] - 1, 0] for item in first]
    found = [item for item in json.loads((tested / "detections.json").read_text()) if item["domain"] == "night"]
    expected = [item["score"] for item in found if item["image_id"] == 1 and item["score"] >= 0.05]
    rows = gallery["pictures"][0]["runs"]["after"]
    assert [row[5] for row in rows] == pytest.approx(sorted(expected, reverse=True), abs=1e-3)
    assert "In short" in text and "What to do next" in text and "Losses" not in text


def test_pictures_that_are_gone_are_counted(tested, tmp_path):
    data = tested.parent / "data/night/images"
    for name in ("001.png", "002.png"):
        (data / name).rename(tmp_path / name)
    try:
        text = write_report(tested).read_text()
    finally:
        for name in ("001.png", "002.png"):
            (tmp_path / name).rename(data / name)
    assert "2 pictures could not be read" in text and len(embedded(text, "gallery")["pictures"]) == 6


def test_detections_that_are_not_finite_are_counted_and_left_out(tested, capsys):
    path = tested / "detections.json"
    whole = path.read_text()
    items = json.loads(whole)
    items[0]["bbox"][2], items[1]["score"] = float("inf"), float("nan")
    path.write_text(json.dumps(items))
    try:
        gallery = embedded(write_report(tested).read_text(), "gallery")
    finally:
        path.write_text(whole)
    assert f"2 of {len(items)} detections" in capsys.readouterr().err
    rows = [row for picture in gallery["pictures"] for row in picture["runs"]["after"]]
    assert len(rows) == len([item for item in items[2:] if item["score"] >= 0.05 and item["bbox"][2] != float("inf")])


def test_a_training_has_a_report(tmp_path):
    lines = ["mode,epoch,iteration,lr,loss,loss_bbox,time"]
    lines += [f"train,{number / 10},{number},0.01,{9 - number / 10},{4 - number / 10},0.25" for number in range(1, 31)]
    (tmp_path / TRAINING_CSV).write_text("\n".join(lines) + "\n")
    text = write_report(tmp_path).read_text()
    assert f"Training {tmp_path.name}" in text and "3 epochs, 0.25 s an iteration" in text
    assert "still fell" in text and "Errors" not in text


def test_a_pipeline_that_has_not_ended_has_a_report(tested, tmp_path, capsys):
    """Configs, a base stage and its records are there; nothing was tested, and there is no memory yet."""
    task = make_task(tmp_path)
    write_configs(adaptation_of(read_task(task), tmp_path / "work", say=lambda *_: None))
    (tmp_path / "work/base").mkdir()
    lines = ["mode,epoch,iteration,lr,loss,loss_bbox,time", "train,0.5,1,0.01,9,4,0.25", "train,1,2,0.01,8,3,0.25"]
    (tmp_path / "work/base" / TRAINING_CSV).write_text("\n".join(lines) + "\n")
    record = dict(name="base", state="done", seconds=200.0, peak_mib=2048.0, attempts=2, command=["x", "--seed", "7"])
    write_json(record, tmp_path / "work/steps/base.json")
    write_json(dict(name="extract_line_a", state="started", seconds=0.0, attempts=1), tmp_path / "work/steps/e.json")
    text = write_report(tmp_path / "work").read_text()
    said = capsys.readouterr()
    assert "holds no summary yet" in said.err and "report: source_training: no training.csv" in said.out
    assert "line_a → line_b" in text and "seed 7" in text and "3 min 20 s" in text and "2.0 GiB" in text
    assert "last of 2 attempts" in text and "not finished" in text and 'id="losses-base-figure_1"' in text
    assert "target train" in text and "Scores" not in text and "Nothing logged yet" in text
    assert 'href="batches/base/' in text and 'href="data_source_train.jpg"' in text


def test_folders_without_a_run_are_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist; check the path"):
        write_report(tmp_path / "none")
    with pytest.raises(UserError, match="holds nothing to report: expected the work folder of ms2a pipeline"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
