"""ONNX files against PyTorch, at other batches and sizes than traced. Needs the extra ``export``."""

import json

import numpy as np
import pytest
import torch
import torchvision

from ms2a.apis import export
from ms2a.apis.export import INPUT, RAW, detections_difference, export_onnx, open_session
from ms2a.apis.onnx_detector import OnnxDetector
from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.models.build import build_model
from tests.tiny import calibrate, make_checkpoint, make_config, make_domains, make_memory

CLASSES = ("nut", "bolt")
SHAPES = [(1, 3, 64, 96), (4, 3, 96, 64), (2, 3, 320, 352)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A detector of stage II with random weights and another memory in each domain."""
    folder = make_domains(tmp_path_factory.mktemp("export"), CLASSES)
    make_config(folder / "base.py", folder, CLASSES)
    make_config(folder / "stage2.py", folder, CLASSES, memory=make_memory(folder))
    for name in ("base", "stage2"):
        calibrate(make_checkpoint(folder / f"{name}.pth", folder / f"{name}.py", CLASSES), folder / f"{name}.py")
    return folder


def changed(folder, path, **factors):
    """The checkpoint of stage II with some tensors multiplied."""
    content = torch.load(folder / "stage2.pth", weights_only=True)
    for part, factor in factors.items():
        for key, value in content["state_dict"].items():
            if part in key:
                content["state_dict"][key] = value * factor
    torch.save(content, path)
    return path


def head_outputs(model, images, domain):
    metas = [dict(domain=domain)] * len(images)
    with torch.no_grad(), model._reading(metas):
        return [level.numpy() for kind in model.bbox_head(model.extract_feat(images)) for level in kind]


@pytest.mark.parametrize("query", ["feature", "memory"])
@pytest.mark.parametrize("domain", ["day", None])
def test_raw_outputs_are_those_of_the_detector_for_one_domain(folder, tmp_path, query, domain):
    cfg = load_config(folder / "stage2.py", {"model.adapter.query": query})
    assert export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", domain=domain, raw=True)
    session = open_session(tmp_path / "raw.onnx")
    assert [node.name for node in session.get_inputs()] == [INPUT]
    assert [node.name for node in session.get_outputs()] == list(RAW)
    model = build_model(cfg, folder / "stage2.pth")
    for shape in SHAPES:
        images = torch.rand(shape) * 255
        found = session.run(None, {INPUT: images.numpy()})
        for ours, theirs in zip(found, head_outputs(model, images, domain or "night"), strict=True):
            assert np.abs(ours - theirs).max() < 1e-4 * max(np.abs(theirs).max(), 1)
    other = head_outputs(model, images, "night" if domain == "day" else "day")
    assert max(np.abs(ours - theirs).max() for ours, theirs in zip(found, other, strict=True)) > 1e-3


def test_the_residual_is_in_the_file(folder, tmp_path):
    cfg = load_config(folder / "stage2.py")
    images = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    outputs = []
    for name, factor in (("a", 1.0), ("b", 1000.0)):
        checkpoint = changed(folder, tmp_path / f"{name}.pth", **{"night.residual": factor})
        export_onnx(cfg, checkpoint, tmp_path / f"{name}.onnx", raw=True)
        outputs.append(open_session(tmp_path / f"{name}.onnx").run(None, {INPUT: images}))
    assert max(np.abs(a - b).max() for a, b in zip(*outputs, strict=True)) > 1e-3


def test_what_depends_on_memory_alone_is_a_constant(folder, tmp_path):
    """No node of the graph computes keys, values or the memory's projection."""
    onnx = pytest.importorskip("onnx")
    cfg = load_config(folder / "stage2.py")
    export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", raw=True)
    names = {tensor.name for tensor in onnx.load(str(tmp_path / "raw.onnx")).graph.initializer}
    assert any("levels.0" in name for name in names)
    assert not [name for name in names if "project_memory" in name or "prototypes" in name or "residual" in name]


@pytest.mark.parametrize("name", ["base", "stage2"])
def test_detections_are_those_of_the_detector(folder, tmp_path, name):
    cfg = load_config(folder / f"{name}.py", {"model.test_cfg.score_thr": 0.2, "model.test_cfg.max_per_img": 40})
    assert export_onnx(cfg, folder / f"{name}.pth", tmp_path / "detector.onnx")
    model, exported = build_model(cfg, folder / f"{name}.pth"), OnnxDetector(tmp_path / "detector.onnx", CLASSES)
    assert exported.domains == (["night"] if name == "stage2" else [])
    total = 0
    for batch, _, height, width in SHAPES:
        images = torch.rand(batch, 3, height, width) * 255
        metas = [dict(img_shape=(height, width, 3), scale_factor=np.array([2.0, 2, 2, 2]))] * batch
        arguments = dict(img=[images], img_metas=[metas], return_loss=False, rescale=True)
        with torch.no_grad():
            expected, found = model(**arguments), exported(**arguments)
        for ours, theirs in zip(found, expected, strict=True):
            for mine, yours in zip(ours, theirs, strict=True):
                assert len(mine) == len(yours)
                assert detections_difference(yours, mine) < 1e-3
                total += len(mine)
    assert total > 20


def test_suppression_against_torchvision():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 30, 2, generator=generator) * 40
    boxes = torch.cat([corners, corners + 10 + 20 * torch.rand(2, 30, 2, generator=generator)], dim=2)
    scores = torch.rand(2, 3, 30, generator=generator)
    chosen = export._Suppression.apply(boxes, scores, 0.5, 0.3)
    expected = []
    for image in range(2):
        for label in range(3):
            kept = torchvision.ops.nms(boxes[image], scores[image, label], 0.5)
            expected += [[image, label, int(i)] for i in kept if scores[image, label, i] > 0.3]
    assert chosen.tolist() == expected and len(expected) > 20


def test_soft_nms_is_said_to_be_replaced(folder, tmp_path, caplog):
    cfg = load_config(folder / "stage2.py", {"model.test_cfg.nms": dict(type="soft_nms", iou_threshold=0.5)})
    export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx")
    assert "no operator for the config's soft_nms: the file uses plain NMS at its IoU threshold 0.5" in caplog.text


@pytest.mark.parametrize("raw", [False, True])
def test_a_detector_with_memory_is_not_exported_without_it(folder, tmp_path, raw):
    cfg = load_config(folder / "stage2.py", {"model.default_domain": None})
    with pytest.raises(UserError, match="no domain is named .known: day, night. and there is no default"):
        export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx", raw=raw)
    assert export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx", domain="day", raw=raw)


def test_no_limit_and_no_suppression(folder, tmp_path):
    cfg = load_config(folder / "stage2.py", {"model.test_cfg.max_per_img": -1})
    assert export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx")
    cfg = load_config(folder / "stage2.py", {"model.test_cfg.nms": None})
    with pytest.raises(UserError, match="no model.test_cfg.nms: `raw=True`"):
        export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx")


def test_a_file_that_differs_is_not_kept(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_difference", lambda expected, found: 0.01)
    with pytest.raises(UserError, match="raw.onnx is not kept: at 3x3x160x128 it differs from PyTorch by 1.0e-02"):
        export_onnx(load_config(folder / "stage2.py"), folder / "stage2.pth", tmp_path / "raw.onnx", raw=True)
    assert list(tmp_path.iterdir()) == []


def test_how_far_detections_differ():
    rows = np.array([[0, 0, 10, 10, 0.9, 0], [5, 5, 20, 200, 0.8, 1]], dtype=np.float32)
    assert detections_difference(rows, rows[::-1]) == 0
    moved = rows + np.float32([[0, 0, 0, 2, 0, 0], [0] * 6])
    assert detections_difference(rows, moved) == pytest.approx(0.01)
    assert detections_difference(rows[:1], rows) == pytest.approx(19)  # the second has no counterpart
    assert detections_difference(rows[:1], rows, max_per_img=2) == 0  # the second is the weakest of a list that was cut
    assert detections_difference(rows[:0], rows[:0]) == 0 and detections_difference(rows[:0], rows) == np.inf


def test_without_the_packages_it_is_one_line(folder, tmp_path, monkeypatch, caplog):
    def missing(*names):
        def find(name):
            if name in names:
                raise ImportError(name)
            return __import__(name)

        monkeypatch.setattr(export, "import_module", find)

    cfg = load_config(folder / "stage2.py")
    missing("onnxruntime")
    assert not export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", raw=True)
    assert "was not checked: onnxruntime is not installed; run: pip install" in caplog.text
    with pytest.raises(UserError, match="onnxruntime is not installed"):
        OnnxDetector(tmp_path / "raw.onnx")
    missing("onnx")
    with pytest.raises(UserError, match="onnx is not installed; run: pip install onnx onnxruntime"):
        export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", raw=True)


def test_files_that_cannot_be_used_are_refused(folder, tmp_path):
    cfg = load_config(folder / "stage2.py")
    with pytest.raises(UserError, match="unknown domain 'fog'; the memory knows day, night"):
        export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx", domain="fog")
    export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", raw=True)
    with pytest.raises(UserError, match=r"raw\.onnx holds no detections; export it .* without --raw"):
        OnnxDetector(tmp_path / "raw.onnx")
    export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx")
    with pytest.raises(UserError, match="class lists differ"):
        OnnxDetector(tmp_path / "detector.onnx", ["bolt", "nut"])
    (tmp_path / "broken.onnx").write_bytes((tmp_path / "raw.onnx").read_bytes()[:500])
    with pytest.raises(UserError, match=r"broken\.onnx cannot be read") as error:
        OnnxDetector(tmp_path / "broken.onnx")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="none.onnx does not exist"):
        OnnxDetector(tmp_path / "none.onnx")


def test_the_file_says_where_it_comes_from(folder, tmp_path):
    export_onnx(load_config(folder / "stage2.py"), folder / "stage2.pth", tmp_path / "d.onnx", domain="day")
    about = json.loads(open_session(tmp_path / "d.onnx").get_modelmeta().custom_metadata_map["ms2a"])
    assert (about["domain"], about["classes"], about["raw"]) == ("day", list(CLASSES), False)
    assert about["provenance"]["versions"]["torch"]
