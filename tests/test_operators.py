"""NMS and soft-NMS against mmcv's compiled operators where these are there, else against a slow reference."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ms2a import mmcv_ext, operators
from ms2a.errors import UserError
from tests.tiny import make_config, make_domains, tool

SPEC = operators.find_compiled()
nms_module = importlib.import_module("mmcv.ops.nms")
ZERO, ONE = np.float32(0), np.float32(1)


def overlap(a, b, offset):
    """Intersection over union of two boxes in single precision, rounded after every operation."""
    width = max(ZERO, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(ZERO, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    with np.errstate(all="ignore"):
        return width * height / (areas[0] + areas[1] - width * height)


def reference_nms(bboxes, scores, iou_threshold, offset):
    boxes, waiting, kept = bboxes.detach().numpy(), scores.sort(0, descending=True)[1].tolist(), []
    while waiting:
        kept.append(waiting.pop(0))
        better = boxes[kept[-1]]
        waiting = [i for i in waiting if not overlap(better, boxes[i], np.float32(offset)) > np.float32(iou_threshold)]
    return torch.tensor(kept, dtype=torch.long)


def reference_soft_nms(boxes, scores, dets, iou_threshold, sigma, min_score, method, offset):
    threshold, sigma, min_score, offset = np.float32([iou_threshold, sigma, min_score, offset])
    left = list(zip(boxes.detach().numpy(), scores.detach().numpy(), range(len(boxes)), strict=True))
    taken = 0
    while taken < len(left):
        best = max(range(taken, len(left)), key=lambda place: left[place][1])
        left[taken], left[best] = left[best], left[taken]
        place = taken = taken + 1
        while place < len(left):
            box, score, index = left[place]
            found = overlap(left[taken - 1][0], box, offset)
            weight = ONE
            if method == 2:
                weight = np.exp(-(found * found) / sigma)
            elif found >= threshold:
                weight = ONE - found if method else ZERO
            left[place] = box, score * weight, index
            if left[place][1] < min_score:
                last = left.pop()
                if place < len(left):
                    left[place] = last
            else:
                place += 1
    for row, (box, score, _) in zip(dets, left, strict=False):
        row[:] = torch.from_numpy(np.append(box, score))
    return torch.tensor([index for _, _, index in left], dtype=torch.long)


@pytest.fixture(scope="module")
def other():
    """Compiled operators or, without them, the slow reference."""
    if SPEC is None:
        return SimpleNamespace(nms=reference_nms, softnms=reference_soft_nms)
    module = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(module)
    return module


def cases(number, seed):
    """Random boxes (N, 4), also none, huge, negative, inverted, on a grid and doubled; scores (N,), also equal ones."""
    rng = np.random.default_rng(seed)
    for case in range(number):
        count = int(rng.integers(0, 24)) if case % 20 else 0
        corners = rng.uniform(-60, 100, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(0, 90, (count, 2))], axis=1)
        if case % 3 == 1:
            boxes = boxes.round(-1)
        if case % 5 == 1:
            boxes *= 10.0 ** rng.integers(3, 15)
        if case % 7 == 1:
            boxes[: count // 2] = boxes[: count // 2, [2, 1, 0, 3]]
        if case % 4 == 1:
            boxes[count // 2 : count // 2 * 2] = boxes[: count // 2]
        scores = rng.uniform(0, 1, count)
        if case % 2:
            scores = scores.round(1)
        yield rng, *(torch.from_numpy(array.astype(np.float32)) for array in (boxes, scores))


def test_nms_keeps_what_mmcvs_keeps(other):
    dropped = 0
    for rng, boxes, scores in cases(1000, seed=0):
        settings = dict(iou_threshold=float(rng.choice([0.3, 0.5, 0.6, 0.7])), offset=int(rng.integers(2)))
        kept = operators.nms(boxes, scores, **settings)
        assert kept.dtype == torch.long
        assert torch.equal(kept, other.nms(boxes, scores, **settings)), (boxes, scores, settings)
        dropped += len(boxes) - len(kept)
    assert dropped > 1000


@pytest.mark.parametrize("method", [operators.NAIVE, operators.LINEAR, operators.GAUSSIAN])
def test_soft_nms_keeps_and_scores_what_mmcvs_does(other, method):
    dropped = lowered = 0
    for rng, boxes, scores in cases(1000, seed=1):
        settings = dict(
            iou_threshold=float(rng.choice([0.3, 0.5, 0.6, 0.7])),
            sigma=float(rng.choice([0.1, 0.5])),
            min_score=float(rng.choice([0.0, 1e-3, 0.2])),
            method=method,
            offset=int(rng.integers(2)),
        )
        found, expected = torch.full((len(boxes), 5), 7.0), torch.full((len(boxes), 5), 7.0)
        kept = operators.softnms(boxes, scores, found, **settings)
        assert torch.equal(kept, other.softnms(boxes, scores, expected, **settings)), (boxes, scores, settings)
        torch.testing.assert_close(
            found[: len(kept)], expected[: len(kept)], rtol=0, atol=1e-6, equal_nan=True, msg=f"{boxes} {scores}"
        )
        dropped += len(boxes) - len(kept)
        lowered += int((found[: len(kept), 4] < scores[kept]).sum())
    assert dropped > 1000 and (lowered > 300 or method == operators.NAIVE)


def test_an_overlap_that_rounds_to_the_threshold_is_not_above_it():
    # Overlap 0.6: as a float above 0.6 in double precision, with which torchvision would compare.
    boxes = torch.tensor([[0.0, 0, 8, 10], [2, 0, 10, 10]])
    assert operators.nms(boxes, torch.tensor([0.9, 0.8]), 0.6, 0).tolist() == [0, 1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Config and checkpoint of a detector that has learned something."""
    folder = tmp_path_factory.mktemp("trained")
    config = make_config(folder / "config.py", make_domains(folder / "data"))
    epochs = ["runner.max_epochs=40", "checkpoint_config.interval=40", "optimizer.lr=0.004", "data.samples_per_gpu=4"]
    options = ["--no-validate", "--device", "cpu", "--seed", 0, "--cfg-options", *epochs]
    tool("tools/train.py")([config, "--work-dir", folder / "run", *options])
    return config, folder / "run/latest.pth"


@pytest.mark.slow
@pytest.mark.parametrize("nms", ["nms", "soft_nms"])
def test_detections_and_map_of_a_trained_detector_are_identical(tmp_path, monkeypatch, trained, other, nms):
    seen = []
    for name, extension in dict(ours=operators, other=other).items():
        monkeypatch.setattr(nms_module, "ext_module", extension)
        out = ["--out", tmp_path / f"{name}.json", "--work-dir", tmp_path / name, "--device", "cpu", "--eval", "bbox"]
        options = [f"model.test_cfg.nms.type={nms}", "model.test_cfg.max_per_img=100"]
        tool("tools/test.py")([*trained, *out, "--cfg-options", *options])
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        seen.append((json.loads((tmp_path / f"{name}.json").read_text()), metrics["metrics"]))
    assert seen[0] == seen[1]
    detections, scores = seen[0]
    assert len(detections) > 50 and scores["night_bbox_mAP_50"] > 0


@pytest.mark.parametrize("first", ["mmdet.models", "ms2a"])
def test_the_stand_in_in_mmcvs_place_serves_whichever_is_imported_first(first):
    """As the wheel has it: mmcv/_ext.py is MS2A's file, here by a finder in front of all others."""
    code = f"""
import sys
from importlib.util import spec_from_file_location
class InThePlaceOfOperators:
    def find_spec(name, path, target=None):
        return spec_from_file_location(name, {mmcv_ext.__file__!r}) if name == "mmcv._ext" else None
sys.meta_path.insert(0, InThePlaceOfOperators)
import {first}
import ms2a.plugin, torch
from mmcv.ops import nms
print(nms(torch.tensor([[0, 0, 10, 10.0], [0, 0, 10, 9]]), torch.tensor([0.5, 0.6]), 0.5)[1].tolist())
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, cwd=operators.__file__.rsplit("/ms2a/", 1)[0])
    assert process.stdout == "[1]\n", process.stderr[-2000:]


def test_mmcv_without_operators_gets_them_from_ms2a(tmp_path):
    """In a fresh process whose mmcv has no compiled operators, whatever this environment's has."""
    code = """
import sys
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "mmcv._ext" else find_spec(name, *rest)
import ms2a
from mmcv.ops import get_compiling_cuda_version, nms_match
from mmcv.runner.optimizer.default_constructor import check_ops_exist
from ms2a.errors import run_main
import mmdet.models, numpy
assert sys.modules["mmcv._ext"].__spec__.name == "mmcv._ext"
assert check_ops_exist() and get_compiling_cuda_version() == "not available"
run_main(lambda _: nms_match(numpy.zeros((1, 5), numpy.float32), 0.5))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, cwd=operators.__file__.rsplit("/ms2a/", 1)[0])
    assert process.returncode == 2, process.stderr
    assert "mmcv's operator nms_match is not there" in process.stderr
    assert "tools/setup_env.sh --compiled" in process.stderr


def test_compiled_operators_come_first():
    if SPEC is None:
        assert Path(nms_module.ext_module.__file__).name in ("_ext.py", "mmcv_ext.py")
    else:
        assert nms_module.ext_module.__file__ == SPEC.origin


def test_providing_twice_adds_one_finder():
    operators.provide()
    assert sum(isinstance(finder, operators.OperatorFinder) for finder in sys.meta_path) == 1


def test_other_operators_have_names_but_no_dunders():
    with pytest.raises(UserError, match="roi_align_forward"):
        mmcv_ext.roi_align_forward(1, aligned=True)
    assert not hasattr(mmcv_ext, "__path__")
