"""The programs of docs/runtimes.md find what ``Detector`` finds."""

import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

import ms2a
from ms2a.apis.export import export_onnx
from ms2a.config import load_config
from tests.tiny import ROOT, calibrate, make_checkpoint, make_config, make_domains, make_memory

PAGE = (ROOT / "docs" / "runtimes.md").read_text(encoding="utf-8")
CLASSES = ("nut", "bolt")
SIZE_HW = (64, 96)


def program(language):
    (found,) = (
        code
        for code in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
        if "0.3" in code and "argv" in code
    )
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_domains(tmp_path_factory.mktemp("programs"), CLASSES)
    make_config(folder / "config.py", folder, CLASSES, memory=make_memory(folder))
    calibrate(make_checkpoint(folder / "weights.pth", folder / "config.py", CLASSES), folder / "config.py")
    noise = np.random.default_rng(3).integers(0, 256, (6, 13, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "photo.png"), cv2.resize(noise, (151, 60)))
    return folder


def check(lines, folder, names):
    found = ms2a.Detector(folder / "config.py", folder / "weights.pth", "cpu")(folder / "photo.png", score_thr=0.3)
    rows = [line.split() for line in lines.splitlines()]
    assert [row[0] for row in rows] == names(found) and len(rows) > 2
    numbers = np.array([[float(word) for word in row[1:]] for row in rows])
    assert np.abs(numbers[:, 0] - found.scores).max() < 1e-3
    assert np.abs(numbers[:, 1:] - found.boxes_xyxy).max() < 5e-3  # printed with three digits


@pytest.mark.slow
def test_the_python_program(folder):
    pytest.importorskip("onnxruntime")
    (folder / "detect.py").write_text(program("python"))
    export_onnx(load_config(folder / "config.py"), folder / "weights.pth", folder / "detector.onnx")
    command = [sys.executable, str(folder / "detect.py"), str(folder / "detector.onnx"), str(folder / "photo.png")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    check(lines, folder, lambda found: found.names)


@pytest.mark.slow
def test_the_program_in_cpp(folder):
    openvino = pytest.importorskip("openvino")
    if not shutil.which("g++") or not shutil.which("pkg-config"):
        pytest.skip("no C++ compiler")
    asked = subprocess.run(["pkg-config", "--cflags", "opencv4"], capture_output=True, text=True)
    if asked.returncode:
        pytest.skip("no OpenCV for C++")
    (folder / "detect.cpp").write_text(
        program("cpp").replace("height = 128, width = 320", "height = {}, width = {}".format(*SIZE_HW))
    )
    (command,) = re.findall(r"^(g\+\+ .*?)^```", PAGE, re.M | re.S)
    subprocess.run(f"ov={openvino.__path__[0]}\n{command}", shell=True, check=True, cwd=folder)
    export_onnx(load_config(folder / "config.py"), folder / "weights.pth", folder / "detector.onnx")
    command = [folder / "detect", folder / "detector.onnx", folder / "photo.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check(done.stdout, folder, lambda found: [str(label) for label in found.labels])
