"""``ms2a.runtime``: what ``Detector`` finds, without torch, mmcv and mmdet."""

import ast
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import ms2a
from ms2a import defaults, operators, runtime
from ms2a.apis.export import export_onnx
from ms2a.apis.export_steps import preprocessing
from ms2a.config import load_config
from ms2a.datasets.config_edits import test_pipeline
from ms2a.runtime.about import METADATA_KEY
from ms2a.runtime.boxes import suppress
from tests.tiny import calibrate, make_checkpoint, make_config, make_domains, make_memory

CLASSES = ("nut", "bolt")
SIZES_HW = [(64, 96), (40, 200), (90, 50), (64, 96)]
ENGINES = [name for name in ("onnxruntime", "openvino") if find_spec(name)]
FOLDER = Path(runtime.__file__).parent
SOFT = {"model.test_cfg.nms": dict(type="soft_nms", iou_threshold=0.5)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A detector of two domains, files of it in all forms, and pictures of several sizes."""
    folder = make_domains(tmp_path_factory.mktemp("runtime"), CLASSES)
    make_config(folder / "config.py", folder, CLASSES, memory=make_memory(folder))
    calibrate(make_checkpoint(folder / "weights.pth", folder / "config.py", CLASSES), folder / "config.py")
    cfg = load_config(folder / "config.py")
    export_onnx(cfg, folder / "weights.pth", folder / "all.onnx", all_domains=True)
    export_onnx(cfg, folder / "weights.pth", folder / "raw.onnx", raw=True)
    export_onnx(load_config(folder / "config.py", SOFT), folder / "weights.pth", folder / "soft.onnx", raw=True)
    export_onnx(cfg, folder / "weights.pth", folder / "cv.onnx", raw=True, size=(64, 96), runtime="opencv")
    for number, (height, width) in enumerate(SIZES_HW):
        noise = np.random.default_rng(number).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(noise, (width, height)))
    return folder


def pictures(folder):
    return [folder / f"{number}.png" for number in range(len(SIZES_HW))]


def check_same(found, expected):
    """To 1e-3 pixel and in the same order; classes and scores too."""
    assert len(found.labels) == len(expected.labels)
    assert found.labels.tolist() == expected.labels.tolist()
    assert np.abs(found.boxes_xyxy - expected.boxes_xyxy).max(initial=0) < 1e-3
    assert np.abs(found.scores - expected.scores).max(initial=0) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "domain"), [("all", "day"), ("all", None), ("raw", None), ("soft", None)])
def test_it_finds_what_the_detector_finds(folder, engine, name, domain):
    options = SOFT if name == "soft" else {}
    expected = ms2a.Detector(folder / "config.py", folder / "weights.pth", "cpu", options)
    exported = runtime.ExportedDetector(folder / f"{name}.onnx", engine)
    assert (exported.engine, exported.classes) == (engine, CLASSES)
    wanted = expected(pictures(folder), domain, score_thr=0.1)
    for found, theirs in zip(exported(pictures(folder), domain, score_thr=0.1), wanted, strict=True):
        check_same(found, theirs)
        assert found.boxes_xyxy.dtype == found.scores.dtype == np.float32 and found.labels.dtype == np.int64
    assert sum(map(len, wanted)) > 10
    other = expected(pictures(folder), "day" if domain is None else "night", score_thr=0.1)
    assert any(len(a) != len(b) or (a.boxes_xyxy != b.boxes_xyxy).any() for a, b in zip(wanted, other, strict=True))


def test_opencv_alone_finds_it_too(folder):
    expected = ms2a.Detector(folder / "config.py", folder / "weights.pth", "cpu")
    exported = runtime.ExportedDetector(folder / "cv.onnx", "opencv")
    for found, theirs in zip(exported(pictures(folder)), expected(pictures(folder)), strict=True):
        check_same(found, theirs)


@pytest.mark.parametrize("engine", ["opencv", *ENGINES])
def test_several_threads_may_call_one_detector(folder, engine):
    exported = runtime.ExportedDetector(folder / ("cv.onnx" if engine == "opencv" else "all.onnx"), engine)
    expected = [exported(path, score_thr=0) for path in pictures(folder)] * 6
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda path: exported(path, score_thr=0), pictures(folder) * 6))
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)


SIGNAL_STACK = """
import ctypes, sys
from ms2a.runtime import ExportedDetector

class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

first, second = (ExportedDetector(sys.argv[1], "openvino") for _ in range(2))
for detector in (first, second):
    detector(sys.argv[2])
del first, detector
del second
stack = Stack()
ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
areas = [line.split()[0].split("-") for line in open("/proc/self/maps")]
assert not stack.start or any(int(low, 16) <= stack.start < int(high, 16) for low, high in areas), stack.start
"""


@pytest.mark.skipif(not find_spec("openvino") or sys.platform != "linux", reason="of OpenVINO on Linux")
def test_detectors_that_end_in_openvino_leave_a_stack_for_signals(folder):
    """The process died at its next signal: OpenVINO's cores, one a detector, took each other's signal stack away."""
    command = [sys.executable, "-c", SIGNAL_STACK, str(folder / "all.onnx"), str(pictures(folder)[0])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


BLOCKED = """
import runpy, sys
for name in ("torch", "torchvision", "mmcv", "mmdet", "faiss", "tqdm", "PIL", "pydantic", "matplotlib"):
    sys.modules[name] = None
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("copied", [False, True])
def test_the_command_needs_numpy_opencv_and_a_runtime_only(folder, tmp_path, copied):
    where, module = (tmp_path, "runtime") if copied else (FOLDER.parents[1], "ms2a.runtime")
    if copied:
        shutil.copytree(FOLDER, tmp_path / "runtime")
    words = [folder / "all.onnx", *pictures(folder)[:3], "--domain", "day", "--score-thr", "0.2", "--batch", "2"]
    command = [sys.executable, "-c", BLOCKED, module, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=where)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    detector = ms2a.Detector(folder / "all.onnx")
    for line, path in zip(lines, pictures(folder)[:3], strict=True):
        expected = detector(path, "day", score_thr=0.2).to_dicts()
        assert line["image"] == str(path)
        assert [one["name"] for one in line["detections"]] == [one["name"] for one in expected]
        for one, other in zip(line["detections"], expected, strict=True):
            assert one["box_xyxy"] == pytest.approx(other["box_xyxy"], abs=1e-3)


def test_the_folder_imports_nothing_else_of_the_package():
    allowed = {"cv2", "numpy", *sys.stdlib_module_names}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.partition(".")[0] in allowed, path


def test_its_engines_are_those_of_the_commands():
    assert {*defaults.ENGINES} == {"auto", "torch", *runtime.ENGINES}
    assert defaults.PRECISIONS == runtime.PRECISIONS


def test_what_a_file_says_is_read_as_onnx_reads_it(folder):
    onnx = pytest.importorskip("onnx")
    content = onnx.load(str(folder / "all.onnx"))
    (text,) = (pair.value for pair in content.metadata_props if pair.key == METADATA_KEY)
    assert runtime.read_about(folder / "all.onnx") == json.loads(text)


def test_mistakes_are_told_in_one_line(folder, tmp_path, monkeypatch):
    whole = (folder / "all.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    for path, message in (
        (tmp_path / "none.onnx", "none.onnx does not exist"),
        (tmp_path / "cut.onnx", "cut.onnx cannot be read .it ends too early.; export it again"),
        (tmp_path / "text.onnx", "text.onnx cannot be read"),
        (tmp_path / "empty.onnx", "empty.onnx cannot be read"),
    ):
        with pytest.raises(runtime.ExportError, match=message) as error:
            runtime.ExportedDetector(path)
        assert "\n" not in str(error.value)
    with pytest.raises(runtime.ExportError, match="unknown engine 'caffe'; there are openvino, onnxruntime, opencv"):
        runtime.ExportedDetector(folder / "all.onnx", "caffe")
    with pytest.raises(runtime.ExportError, match="OpenCV needs the head's maps, a fixed size and batch 1"):
        runtime.ExportedDetector(folder / "all.onnx", "opencv")
    with pytest.raises(runtime.ExportError, match="opencv has no bfloat16"):
        runtime.ExportedDetector(folder / "cv.onnx", "opencv", precision="bfloat16")
    exported = runtime.ExportedDetector(folder / "all.onnx")
    with pytest.raises(runtime.ExportError, match="unknown domain 'fog'; the file knows day, night"):
        exported(folder / "0.png", "fog")
    for name in ("text.png", "none.png"):
        with pytest.raises(runtime.ExportError, match=f"picture .*{name} is missing or cannot be read"):
            exported(tmp_path / name)


def test_a_mistake_on_the_command_line_ends_it_with_status_2(tmp_path):
    command = [sys.executable, "-m", "ms2a.runtime", str(tmp_path / "none.onnx"), "a.png"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parents[1])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: ONNX file {tmp_path}/none.onnx does not exist; check the path\n"


def test_a_batch_of_no_picture_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module("ms2a.runtime.__main__").main([str(tmp_path / "none.onnx"), "a.png", "--batch", "0"])
    assert ended.value.code == 2 and "argument --batch: 0 is below 1" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_suppression_is_that_of_the_operator(method):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 30, (60, 2)).astype(np.float32)
    boxes = np.c_[corners, corners + rng.uniform(5, 30, (60, 2)).astype(np.float32)]
    scores = rng.uniform(0.05, 1, 60).astype(np.float32)
    found = suppress(boxes, scores, np.zeros(60, int), 0.0, 0.5, 1000, soft=method, sigma=0.5, min_score=0.1)
    expected = torch.zeros(60, 5)
    which = operators.LINEAR if method == "linear" else operators.GAUSSIAN
    kept = operators.softnms(torch.tensor(boxes), torch.tensor(scores), expected, 0.5, 0.5, 0.1, which, 0)
    assert len(kept) == len(found[1]) and 5 < len(kept) < 60
    assert np.abs(found[0] - expected[: len(kept), :4].numpy()).max() < 1e-5
    assert np.abs(found[1] - expected[: len(kept), 4].numpy()).max() < 1e-5


def test_classes_do_not_suppress_one_another_and_the_weakest_are_cut():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 11], [0, 1, 10, 10], [20, 20, 30, 30]], np.float32)
    scores, labels = np.array([0.5, 0.9, 0.8, 0.05], np.float32), np.array([0, 0, 1, 0])
    found = suppress(boxes, scores, labels, score_thr=0.1, iou_threshold=0.6, max_per_img=None)
    assert found[1].tolist() == pytest.approx([0.9, 0.8]) and found[2].tolist() == [0, 1]
    assert len(suppress(boxes, scores, labels, 0.1, 0.6, max_per_img=1)[1]) == 1
    assert len(suppress(boxes[:0], scores[:0], labels[:0], 0.1, 0.6, None)[1]) == 0


def test_pipelines_that_the_runtime_does_not_know_are_none_of_its():
    cfg = load_config("configs/yolox/yolox_fs_n_128x320_indus_synth_base.py")
    steps = test_pipeline(cfg.data.test)
    assert preprocessing(steps) == dict(size_hw=[128, 320], divisor=None, fill=114.0, bit_depth=None)
    multiple = load_config(cfg.filename, dict(test_padding="multiple", bit_depth=12))
    assert preprocessing(test_pipeline(multiple.data.test)) == dict(
        size_hw=[128, 320], divisor=32, fill=114.0, bit_depth=12
    )
    steps[1]["transforms"].insert(1, dict(type="Normalize", mean=[1, 2, 3], std=[1, 1, 1], to_rgb=True))
    assert preprocessing(steps) is None
