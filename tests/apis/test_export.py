"""ONNX files against PyTorch, at other batches and sizes than traced. Needs the extra ``export``."""

import json
import re
import sys

import numpy as np
import pytest
import torch
import torchvision

from ms2a import defaults
from ms2a.apis import export, export_check
from ms2a.apis.export import EXPORTERS, export_onnx
from ms2a.apis.export_check import detections_difference
from ms2a.apis.export_network import _Suppression, stem_as_one_convolution
from ms2a.apis.onnx_detector import OnnxDetector
from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.models.build import build_model
from ms2a.runtime import engines
from ms2a.runtime.about import DOMAIN, IMAGES, RAW, read_about
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


@pytest.fixture(params=EXPORTERS)
def exporter(request):
    """Either of torch's."""
    if request.param == "dynamo":
        pytest.importorskip("onnxscript")
    return request.param


def open_session(path):
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


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
    assert [node.name for node in session.get_inputs()] == [IMAGES]
    assert [node.name for node in session.get_outputs()] == list(RAW)
    model = build_model(cfg, folder / "stage2.pth")
    for shape in SHAPES:
        images = torch.rand(shape) * 255
        found = session.run(None, {IMAGES: images.numpy()})
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
        outputs.append(open_session(tmp_path / f"{name}.onnx").run(None, {IMAGES: images}))
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
def test_detections_are_those_of_the_detector(folder, tmp_path, name, exporter):
    cfg = load_config(folder / f"{name}.py", {"model.test_cfg.score_thr": 0.2, "model.test_cfg.max_per_img": 40})
    assert export_onnx(cfg, folder / f"{name}.pth", tmp_path / "detector.onnx", exporter=exporter)
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
    chosen = _Suppression.apply(boxes, scores, 0.5, 0.3)
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
    monkeypatch.setattr(export_check, "_difference", lambda expected, found: 0.01)
    with pytest.raises(UserError, match="raw.onnx is not kept: at 3x3x160x128 .* differs from PyTorch by 1.0e-02"):
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
    cfg = load_config(folder / "stage2.py")
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    assert export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx") == []
    assert "was not checked: no runtime is installed; run: pip install onnxruntime" in caplog.text
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="no engine is installed; run: pip install onnxruntime"):
        OnnxDetector(tmp_path / "detector.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="onnx is not installed; run: pip install onnx onnxruntime"):
        export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", raw=True)


def test_a_package_that_lacks_another_says_which(tmp_path, monkeypatch):
    (tmp_path / "broken_runtime.py").write_text("import part_of_it_that_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="broken_runtime cannot be imported .*'part_of_it_that_is_missing'"):
        export.import_extra("broken_runtime")


def test_files_that_cannot_be_used_are_refused(folder, tmp_path):
    cfg = load_config(folder / "stage2.py")
    with pytest.raises(UserError, match="unknown domain 'fog'; the memory knows day, night"):
        export_onnx(cfg, folder / "stage2.pth", tmp_path / "detector.onnx", domain="fog")
    export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", raw=True)
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


def test_a_file_of_all_domains_reads_each_images_own(folder, tmp_path, exporter):
    cfg = load_config(folder / "stage2.py")
    options = dict(raw=True, all_domains=True, exporter=exporter)
    assert export_onnx(cfg, folder / "stage2.pth", tmp_path / "all.onnx", **options)
    about, session = read_about(tmp_path / "all.onnx"), open_session(tmp_path / "all.onnx")
    assert (about["domains"], about["domain"]) == (["day", "night"], "night")
    model = build_model(cfg, folder / "stage2.pth")
    images = torch.rand(3, 3, 64, 96) * 255
    found = session.run(None, {IMAGES: images.numpy(), DOMAIN: np.array([0, 1, 0])})
    day, night = (head_outputs(model, images, domain) for domain in ("day", "night"))
    for ours, by_day, by_night in zip(found, day, night, strict=True):
        expected = np.stack([by_day[0], by_night[1], by_day[2]])
        assert np.abs(ours - expected).max() < 1e-4 * max(np.abs(expected).max(), 1)


def test_fixed_sizes_leave_no_size_in_the_graph(folder, tmp_path, exporter):
    onnx = pytest.importorskip("onnx")
    cfg = load_config(folder / "stage2.py")
    options = dict(raw=True, size=(64, 96), batch=2, exporter=exporter)
    assert export_onnx(cfg, folder / "stage2.pth", tmp_path / "raw.onnx", **options)
    graph = onnx.load(str(tmp_path / "raw.onnx")).graph
    assert [side.dim_value for side in graph.input[0].type.tensor_type.shape.dim] == [2, 3, 64, 96]
    assert not {"Shape", "Range", "Slice"} & {node.op_type for node in graph.node}
    model, exported = build_model(cfg, folder / "stage2.pth"), OnnxDetector(tmp_path / "raw.onnx", CLASSES)
    images = torch.rand(3, 3, 64, 96) * 255  # more than one batch, and the last one is not full
    metas = [dict(img_shape=(64, 96, 3), scale_factor=np.ones(4, np.float32))] * 3
    arguments = dict(img=[images], img_metas=[metas], return_loss=False, rescale=True)
    with torch.no_grad():
        expected, found = model(**arguments), exported(**arguments)
    for ours, theirs in zip(found, expected, strict=True):
        assert [len(rows) for rows in ours] == [len(rows) for rows in theirs]
        assert max(detections_difference(*pair) for pair in zip(theirs, ours, strict=True)) < 1e-3
    with pytest.raises(UserError, match=r"takes pictures of 64x96 pixels, not of \(96, 64\)"):
        exported(**arguments | dict(img=[images.transpose(2, 3)]))


def test_the_stem_as_one_convolution_is_the_same_function(folder):
    model = build_model(load_config(folder / "base.py"), folder / "base.pth")
    export.fold_batch_norms(model)
    images = torch.rand(2, 3, 64, 96) * 255
    with torch.no_grad():
        expected = model.backbone.stem(images)
        stem_as_one_convolution(model.backbone)
        found = model.backbone.stem(images)
    assert not [part for part in model.backbone.stem.modules() if type(part).__name__ == "Focus"]
    assert (found - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(size=(64, 100)), "`size=64,100`: expected height and width, multiples of 32"),
        (dict(batch=2), "`batch=2` without `size`"),
        (dict(size=(64, 96), batch=0), "`batch=0`: expected 1 or more"),
        (dict(runtime="tensorflow"), "`runtime=tensorflow`: expected one of onnxruntime, openvino, opencv"),
        (dict(runtime="opencv", raw=True), "`runtime=opencv` takes fixed sizes and runs no NMS: give `size`"),
        (dict(runtime="tract", size=(64, 96)), "`runtime=tract` takes fixed sizes and runs no NMS"),
        (dict(runtime="opencv", raw=True, size=(64, 96), batch=2), "`batch=2`: opencv computes batches of the memory"),
        (dict(exporter="caffe"), "`exporter=caffe`: expected one of torchscript, dynamo"),
        (dict(exporter="dynamo", runtime="opencv"), "`exporter=dynamo`: OpenCV (5.0.0) can't read such a file"),
    ],
)
def test_forms_that_a_runtime_cannot_run_are_refused(folder, tmp_path, options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        export_onnx(load_config(folder / "stage2.py"), folder / "stage2.pth", tmp_path / "x.onnx", **options)
    assert list(tmp_path.iterdir()) == []


def test_the_commands_exporters_are_those_of_the_module():
    assert defaults.EXPORTERS == tuple(EXPORTERS)
