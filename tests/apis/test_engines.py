"""Detectors in torch and in the runtimes: tested, compared, quantised."""

import json
import shutil
import sys

import numpy as np
import pytest

import ms2a
from ms2a.apis.compare_engines import Row, compare_engines, forms, table, verdicts
from ms2a.apis.engine_worker import Form
from ms2a.apis.export import export_onnx
from ms2a.apis.quantise import quantise
from ms2a.apis.test import test as run_test
from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.runtime import ExportedDetector, read_about
from tests.tiny import calibrate, make_checkpoint, make_config, make_domains, make_memory, tool

test_tool = tool("tools/test.py")
test_tool.__test__ = False


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A detector of two domains, a file of both memories and one of a single one."""
    folder = make_domains(tmp_path_factory.mktemp("engines"))
    make_config(folder / "config.py", folder, memory=make_memory(folder))
    calibrate(make_checkpoint(folder / "weights.pth", folder / "config.py"), folder / "config.py")
    cfg = load_config(folder / "config.py")
    export_onnx(cfg, folder / "weights.pth", folder / "all.onnx", all_domains=True)
    export_onnx(cfg, folder / "weights.pth", folder / "night.onnx", raw=True)
    return folder


def close(found, expected, atol):
    """The same numbers of detections and all but the same boxes."""
    for one, other in zip(found, expected, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert len(mine) == len(theirs)
            assert np.abs(mine - theirs).max(initial=0) < atol


def test_a_file_of_all_domains_is_tested_like_its_checkpoint(folder):
    cfg = load_config(folder / "config.py")
    expected = run_test(cfg, folder / "weights.pth", device="cpu")
    # Boxes of random weights reach hundreds of pixels out of the picture.
    close(run_test(cfg, folder / "all.onnx").detections, expected.detections, 1e-2)
    # Weights are exported on the way.
    close(run_test(cfg, folder / "weights.pth", "cpu", engine="onnxruntime").detections, expected.detections, 1e-2)


def test_a_file_of_one_domain_says_so_and_is_scored_on_all(folder, tmp_path, capsys):
    command = [folder / "config.py", folder / "night.onnx", "--eval", "bbox", "--out", tmp_path / "out.json"]
    test_tool([*command, "--engine", "onnxruntime"])
    captured = capsys.readouterr()
    assert "'night_bbox_mAP'" in captured.out and "'day_bbox_mAP'" in captured.out
    assert captured.err.count("has the memory of 'night' alone: pictures of 'day' are read with that") == 1
    assert {one["domain"] for one in json.loads((tmp_path / "out.json").read_text())} == {"day", "night"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("all.onnx", dict(engine="torch"), "`engine=torch` does not run .*all.onnx; give the trained weights"),
        ("all.onnx", dict(engine="opencv"), "OpenCV needs the head's maps"),
        ("weights.pth", dict(engine="caffe"), "`engine=caffe`: expected one of auto, torch, onnxruntime"),
        ("weights.pth", dict(precision="int4"), "`precision=int4`: expected one of float32, bfloat16"),
        ("all.onnx", dict(tta=True), "tested in one process and one view: leave out `launcher` and `tta`"),
        ("all.onnx", dict(engine="onnxruntime", precision="bfloat16"), "onnxruntime has no bfloat16"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(folder, name, options, message):
    with pytest.raises(UserError, match=message):
        run_test(load_config(folder / "config.py"), folder / name, device="cpu", **options)


def test_bfloat16_in_torch_finds_nearly_the_same(folder):
    picture = folder / "night" / "images" / "001.png"
    full = ms2a.Detector(folder / "config.py", folder / "weights.pth", "cpu")(picture, score_thr=0)
    half = ms2a.Detector(folder / "config.py", folder / "weights.pth", "cpu", precision="bfloat16")(
        picture, score_thr=0
    )
    assert half.boxes_xyxy.dtype == half.scores.dtype == np.float32
    assert 0 < np.abs(np.sort(half.scores) - np.sort(full.scores)).max() < 0.05


def row(engine, precision, maps, slow, fast):
    return Row(Form(engine, precision, ()), maps, 1.0, {1: slow, 8: fast}, 100.0)


def test_the_fastest_form_that_loses_at_most_half_a_point_is_to_be_taken():
    rows = [
        row("torch", "float32", dict(a=20.0, b=30.0), 10, 40),
        row("openvino", "float32", dict(a=20.1, b=29.51), 30, 50),
        row("openvino", "int8", dict(a=21.0, b=29.4), 90, 90),
        row("opencv", "float32", dict(b=30.0), 20, 60),
    ]
    assert verdicts(rows) == ["", "take at batch 1", "loses 0.60 mAP", "take at batch 8"]
    lines = table(rows, dict(torch="2.9", opencv="5.0")).splitlines()
    assert lines[0].startswith("| engine | precision | mAP a | mAP b | images/s, batch 1 |")
    assert lines[2].startswith("| torch 2.9 | float32 | 20.00 | 30.00 | 10.0 | 40.0 | 1.0 | 100 |")
    assert "| opencv 5.0 | float32 | – | 30.00 |" in lines[5]


def test_int8_without_its_package_is_refused_before_anything_is_exported(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(UserError, match="nncf is not installed; run: pip install nncf openvino"):
        compare_engines(load_config(folder / "config.py"), folder / "weights.pth", tmp_path, [folder])
    assert not list(tmp_path.iterdir())


def test_a_form_that_can_not_be_made_is_left_out_with_its_reason(folder, tmp_path, monkeypatch, capsys):
    def export(cfg, checkpoint, out, runtime="onnxruntime", **how):
        if runtime == "opencv":
            raise UserError(f"{out} is not kept")
        shutil.copy(folder / "all.onnx", out)

    monkeypatch.setattr("ms2a.apis.compare_engines.export_onnx", export)
    made = {form.engine for form in forms(load_config(folder / "config.py"), folder / "weights.pth", tmp_path)}
    assert "torch" in made and "onnxruntime" in made and "opencv" not in made
    assert "opencv.onnx is not kept: it is left out" in capsys.readouterr().err


def test_steps_that_the_runtime_does_not_know_leave_out_opencv(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ms2a.apis.compare_engines.export_onnx", lambda cfg, checkpoint, out, **how: None)
    monkeypatch.setattr("ms2a.apis.compare_engines.read_about", lambda path: dict(preprocessing=None))
    made = {form.engine for form in forms(load_config(folder / "config.py"), folder / "weights.pth", tmp_path)}
    assert "onnxruntime" in made and "opencv" not in made


def test_numbers_that_measure_nothing_are_refused(folder, tmp_path):
    with pytest.raises(UserError, match="`rounds=0`, `images=4`: expected 1 or more of each"):
        compare_engines(load_config(folder / "config.py"), folder / "weights.pth", tmp_path, rounds=0, images=4)


@pytest.mark.slow
def test_all_forms_are_scored_and_timed(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    cfg = load_config(folder / "config.py")
    rows = compare_engines(cfg, folder / "weights.pth", tmp_path, rounds=1, images=3, threads=1, of_processor=True)
    by_form = {(row.form.engine, row.form.precision): row for row in rows}
    assert {("torch", "float32"), ("onnxruntime", "float32"), ("opencv", "float32")} <= set(by_form)
    reference = by_form["torch", "float32"]
    for row in rows:
        if row.form.precision == "float32":
            assert abs(row.loss(reference)) < 0.1
        assert min(row.images_per_second.values()) > 0 and row.start_seconds > 0
    assert set(by_form["opencv", "float32"].map_percent) == {"night"}
    assert by_form["onnxruntime", "float32"].memory_mib < 0.6 * reference.memory_mib
    assert by_form["onnxruntime", "float32"].start_seconds < reference.start_seconds


def test_quantising_takes_the_heads_maps_only(folder, tmp_path):
    pytest.importorskip("nncf")
    with pytest.raises(UserError, match="all.onnx decodes boxes, which int8 would spoil; export it with `raw`"):
        quantise(folder / "all.onnx", [folder / "night" / "images" / "001.png"], tmp_path / "int8.onnx")


@pytest.mark.slow
def test_an_int8_file_is_run_like_any_other(folder, tmp_path):
    pytest.importorskip("nncf")
    pictures = sorted((folder / "night" / "images").iterdir())
    quantise(folder / "night.onnx", pictures, tmp_path / "int8.onnx")
    about = read_about(tmp_path / "int8.onnx")
    assert (about["precision"], about["num_calibrated"], about["domains"]) == ("int8", len(pictures), ["night"])
    full, small = (ExportedDetector(path, "onnxruntime") for path in (folder / "night.onnx", tmp_path / "int8.onnx"))
    inputs = full.inputs(full.prepare(pictures[0])[0][None], [None])
    # Of random weights, which int8 spoils more than trained ones.
    one, other = (np.concatenate([maps.ravel() for maps in side.run(inputs)]) for side in (full, small))
    assert 0 < np.abs(one - other).max() and np.corrcoef(one, other)[0, 1] > 0.7
    assert len(small(pictures)) == len(pictures)
