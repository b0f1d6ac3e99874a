"""Files that users write or bring, drawn malformed and odd: status 0 or 2, one line, whole files, nothing outside."""

import copy
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets import build_dataset

import ms2a.plugin  # noqa: F401
from ms2a.apis.detector import Detector
from ms2a.apis.inference import infer
from ms2a.apis.train import train
from ms2a.cli import dispatch
from ms2a.config import load_config
from ms2a.pipeline.stages import write_configs
from ms2a.pipeline.task import adaptation_of, read_task
from ms2a.settled import write_config
from ms2a.storage.cluster import cluster_domains
from tests.robustness.odd import as_json, clear_arguments, damaged, mutated, odd_values, times, told, writes_only
from tests.tiny import make_checkpoint, make_config, make_domains, make_memory, make_task


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("robustness")
    make_domains(root / "data", n_images=2)
    memory = make_memory(root)
    config = make_config(root / "two.py", root / "data", memory=memory, custom_hooks=[])
    make_checkpoint(root / "two.pth", config)
    base = make_config(root / "base.py", root / "data", custom_hooks=[])
    make_checkpoint(root / "base.pth", base)
    return root


@pytest.fixture(autouse=True)
def cwd(root, monkeypatch):
    """A place of its own for what is written to relative paths; it stays empty."""
    clear_arguments()
    (root / "cwd").mkdir(exist_ok=True)
    monkeypatch.chdir(root / "cwd")


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def task(root):
    (root / "task").mkdir()
    return yaml.safe_load(make_task(root / "task").read_text())


@times(4)
@given(data=st.data())
def test_task_files(root, task, data):
    path = root / "task" / "task.yaml"
    text = yaml.safe_dump(data.draw(mutated(task))).encode(errors="surrogatepass")
    path.write_bytes(data.draw(damaged(text)) if data.draw(st.booleans()) else text)
    out = fresh(root / "out")

    def settle():
        adaptation = adaptation_of(read_task(path), out / "work", say=lambda *_, **__: None)
        write_configs(adaptation)
        for stage in adaptation.configs:  # names and texts reach every stage as they are
            assert load_config(adaptation.config_path(stage))._cfg_dict == adaptation.configs[stage]._cfg_dict

    with writes_only(out, root):
        told(settle)


@times(4)
@given(data=st.data())
def test_coco_files(root, data):
    path, out = root / "data" / "day" / "drawn.json", fresh(root / "out")
    coco = json.loads((root / "data" / "day" / "annotations.json").read_text())
    text = as_json(data.draw(mutated(coco, most=4)))
    path.write_bytes(data.draw(damaged(text)) if data.draw(st.booleans()) else text)
    entry = dict(type="DomainCocoDataset", ann_file=str(path), img_prefix=str(root / "data" / "day" / "images"))
    entry |= dict(domain="day", classes=("part",), pipeline=[dict(type="LoadPicture")], test_mode=True)

    def use():
        dataset = build_dataset(copy.deepcopy(entry))
        dataset.evaluate([[np.array([[1.0, 1, 9, 9, 0.5]], np.float32)] for _ in range(len(dataset))], "bbox")

    with writes_only(out, root):
        told(lambda: dispatch(["check", str(path), "--out", str(out)]))
        told(use)
    path.unlink()


VOC = """<annotation><filename>001.png</filename><size><width>96</width><height>64</height><depth>3</depth></size>
<object><name>part</name><difficult>0</difficult><truncated>1</truncated><pose>Left</pose>
<bndbox><xmin>11</xmin><ymin>11</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object></annotation>"""
VOC_WORDS = ["11", "part", "001.png", "<difficult>0</difficult>", "<object>", "</bndbox>", "96", "<name>", "30", "Left"]


@times(4)
@given(data=st.data())
def test_voc_files(root, data):
    images, out = root / "data" / "day" / "images", fresh(root / "out")
    folder = fresh(root / "xml")
    text = VOC
    for _ in range(data.draw(st.integers(1, 3))):
        word = data.draw(st.sampled_from(VOC_WORDS))
        odd = data.draw(st.one_of(st.sampled_from(["yes", "<difficult>Unspecified</difficult>", ""]), odd_values()))
        text = text.replace(word, str(odd), 1)
    text = text.encode(errors="replace")
    (folder / "001.xml").write_bytes(data.draw(damaged(text)) if data.draw(st.booleans()) else text)
    with writes_only(out, root):
        told(lambda: dispatch(["convert", "to_coco", str(folder), str(images), str(out / "a.json")]))


def plain(value):
    """A config without tuples, so that every place of it can be changed."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


PARTS = [dict(type="RandomFlip", nothing=1), [dict(type="Nope")], 64, "SGD"]
CONFIG_VALUES = st.one_of(odd_values(), st.sampled_from(PARTS))


@times(4)
@given(data=st.data())
def test_configs(root, data):
    path, out = root / "drawn.py", fresh(root / "out")
    shutil.copy(root / "two.py", path)
    content = plain(load_config(path)._cfg_dict.to_dict())
    content = data.draw(mutated(content, most=2, values=CONFIG_VALUES))
    runner = content.get("runner") if isinstance(content, dict) else None
    if isinstance(runner, dict) and isinstance(runner.get("max_epochs"), int):
        runner["max_epochs"] = min(runner["max_epochs"], 0)  # a training of epochs is no quick test
    lines = [f"{key} = {value!r}\n" for key, value in content.items()] if isinstance(content, dict) else [repr(content)]
    text = "".join(lines).replace("nan", "float('nan')").replace("inf,", "float('inf'),").encode(errors="replace")
    path.write_bytes(text)

    def settle_and_train():
        cfg = load_config(path)
        write_config(cfg, out / "settled.py")
        assert load_config(out / "settled.py")._cfg_dict == cfg._cfg_dict
        train(cfg, out / "run", device="cpu", validate=False)

    with writes_only(out, root):
        told(settle_and_train)
    path.unlink(missing_ok=True)


def odd_tensor(value: torch.Tensor, how: str) -> object:
    """A tensor that is not what it should be."""
    if how in ("nan", "inf"):
        value = value.clone().float()
        value.view(-1)[:1] = float(how)
        return value
    changes = dict(
        double=value.double(),
        half=value.half(),
        long=value.long(),
        complex=value.to(torch.complex64),
        empty=value[:0] if value.ndim else value,
        larger=value[None],
        sparse=value.to_sparse() if value.ndim else value,
        none=None,
        number=3,
        listed=value.tolist(),
        strided=value.flatten()[::2],
    )
    return changes[how]


HOW = ["nan", "inf", "double", "half", "long", "complex", "empty"]
HOW += ["larger", "sparse", "none", "number", "listed", "strided"]


def odd_content(data: st.DataObject, content: dict) -> object:
    """What a checkpoint or memory file holds, changed in a tensor, in its structure or in both."""
    tensors = content.get("state_dict", content)
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(key for key, value in tensors.items() if torch.is_tensor(value))))
        tensors[name] = odd_tensor(tensors[name], data.draw(st.sampled_from(HOW)))
    if data.draw(st.booleans()):
        meta = data.draw(mutated(dict(meta=content.get("meta"), other=1)))
        content = {**content, **meta} if isinstance(meta, dict) else meta
    return content


@given(data=st.data())
def test_checkpoints(root, data):
    path, out = root / "drawn.pth", fresh(root / "out")
    content = odd_content(data, torch.load(root / "base.pth", weights_only=True))
    torch.save(content, path)
    path.write_bytes(data.draw(damaged(path.read_bytes())) if data.draw(st.booleans()) else path.read_bytes())
    picture = np.zeros((64, 96, 3), np.uint8)

    def use():
        result = Detector(load_config(root / "base.py"), path, "cpu")(picture, score_thr=0.0)
        assert np.isfinite(result.scores).all() and np.isfinite(result.boxes_xyxy).all()

    with writes_only(out, root):
        told(use)
        for option in ("load_from", "resume_from"):
            options = {option: str(path), "runner.max_epochs": 0}
            told(lambda own=options: train(load_config(root / "base.py", own), out / "run", "cpu", validate=False))
    path.unlink()


@given(data=st.data())
def test_memory_files(root, data):
    folder, out = fresh(root / "memory"), fresh(root / "out")
    content = torch.load(root / "day_cluster.pth", weights_only=True)
    content["meta"]["cluster_sizes"] = [[1] * 4] * 3
    path = folder / "day.pth"
    torch.save(odd_content(data, content), path)
    path.write_bytes(data.draw(damaged(path.read_bytes())) if data.draw(st.booleans()) else path.read_bytes())
    options = {"model.adapter.memory.files.day": str(path), "runner.max_epochs": 0}
    with writes_only(out, root):
        told(lambda: cluster_domains(folder, ["day"], 2, out, device="cpu"))
        told(lambda: train(load_config(root / "two.py", options), out / "run", device="cpu", validate=False))


PICTURE_NAMES = ["a.png", "b.JPG", "o'b.png", "line\nbreak.png", "${model}.png", "n" * 240 + ".png", "ü.bmp", "c.tif"]


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """A picture of an odd size, depth or format, perhaps damaged."""
    side = st.sampled_from([1, 2, 3, 31, 64, 1000, 9000])
    height, width = draw(side), draw(st.sampled_from([1, 2, 7, 96]))
    if draw(st.booleans()):
        height, width = width, height
    shape = draw(st.sampled_from([(height, width), (height, width, 3), (height, width, 4)]))
    picture = np.full(shape, draw(st.integers(0, 255)), draw(st.sampled_from([np.uint8, np.uint16])))
    suffix = draw(st.sampled_from([".png", ".tif", ".jpg", ".bmp", ".webp"]))
    if picture.dtype == np.uint16 and suffix not in (".png", ".tif"):
        picture = picture.astype(np.uint8)
    content = cv2.imencode(suffix, picture)[1].tobytes()
    return draw(damaged(content)) if draw(st.booleans()) else content


@given(data=st.data())
def test_pictures(root, data):
    folder, out = fresh(root / "pictures"), fresh(root / "out")
    cv2.imwrite(str(folder / "sound.png"), np.full((64, 96, 3), 90, np.uint8))
    for name in data.draw(st.lists(st.sampled_from(PICTURE_NAMES), max_size=3, unique=True)):
        Path(folder, name).write_bytes(data.draw(pictures()))
    cfg = load_config(root / "base.py")
    with writes_only(out, root):
        assert told(lambda: infer(cfg, root / "base.pth", out, folder, device="cpu")) is None
    with writes_only(root / "report", root):
        told(lambda: dispatch(["check", str(folder), "--out", str(root / "report")]))
    shutil.rmtree(root / "report", ignore_errors=True)
    found = json.loads((out / "detections.json").read_text())
    assert "sound.png" in {image["file_name"] for image in found["images"]}
    assert {image["file_name"] for image in found["images"]} == {path.name for path in out.iterdir()} - {
        "detections.json"
    }


KEY_VALUES = ["a=1", "=", "a", "model=3", "data.train=None", "a.b.c=1", "x=[1,2"]
WORDS = st.one_of(odd_values().map(str), st.sampled_from(KEY_VALUES))
COMMANDS = [
    ["check", "DATA/annotations.json", "--images", "DATA/images"],
    ["split", "DATA/annotations.json", "--counts", "1", "--seed", "0", "--out", "OUT"],
    ["convert", "to_coco", "DATA/annotations.json", "DATA/images", "OUT/a.json", "--first-pixel", "1"],
    ["cluster", "--fea_root_path", "OUT", "--depart", "day", "--n_clusters", "2", "--seed", "0", "--out_path", "OUT"],
    ["extract", "--depart", "day", "--img", "NONE", "--config", "CONFIG", "--checkpoint", "NONE", "--out_path", "OUT"],
    ["test", "CONFIG", "NONE", "--eval", "bbox", "--cfg-options", "a=1"],
    ["detect", "CONFIG", "NONE", "OUT", "--img", "DATA/images", "--score-thr", "0.3", "--domain", "day"],
    ["export", "CONFIG", "NONE", "OUT/a.onnx", "--domain", "day"],
    ["train", "CONFIG", "--work-dir", "OUT", "--resume-from", "NONE", "--cfg-options", "runner.max_epochs=0"],
]


@times(4)
@given(data=st.data())
def test_options_of_commands(root, data):
    out = fresh(root / "out")
    words = list(data.draw(st.sampled_from(COMMANDS)))
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(1, len(words) - 1))
        words[place : place + data.draw(st.integers(0, 1))] = [data.draw(WORDS)]
    places = dict(DATA=root / "data" / "day", OUT=out, CONFIG=root / "base.py", NONE=root / "nothing")
    for name, path in places.items():
        words = [word.replace(name, str(path)) if name in word else word for word in words]
    words = [word.encode(errors="replace").decode() for word in words]
    told(lambda: dispatch(words))
    shutil.rmtree(root / "cwd")  # options may name relative places
    (root / "cwd").mkdir()
    os.chdir(root / "cwd")
