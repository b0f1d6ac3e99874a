"""tools/train.py, tools/test.py, tools/inference.py and the launch scripts on tiny data."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from itertools import groupby

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import single_gpu_test
from mmdet.datasets import build_dataloader, build_dataset
from mmdet.utils import build_dp
from pycocotools.coco import COCO

from ms2a.apis.detector import Detector
from ms2a.apis.export_check import detections_difference
from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.models import release
from ms2a.models.build import build_model
from tests.tiny import ROOT, make_coco, make_config, make_domains, make_memory, tool

run_train, run_test, run_inference, run_export = (
    tool(f"tools/{name}.py") for name in ("train", "test", "inference", "export_onnx")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    make_domains(folder / "data", classes=("bolt", "nut"), n_images=5)
    memory = make_memory(folder)
    make_config(folder / "config.py", folder / "data", classes=("bolt", "nut"), memory=memory)
    return folder


@pytest.fixture(scope="module")
def config(folder):
    return folder / "config.py"


@pytest.fixture(scope="module")
def checkpoint(folder, config):
    """A detector of stage II trained for an epoch; its memory files are gone afterwards."""
    options = ["--seed", 3, "--cfg-options", "runner.max_epochs=1", "data.samples_per_gpu=5"]
    run_train([config, "--work-dir", folder / "run", "--no-validate", "--device", "cpu", *options])
    for path in folder.glob("*_cluster.pth"):
        path.unlink()
    return folder / "run/latest.pth"


def test_train(checkpoint):
    meta = torch.load(checkpoint, weights_only=True)["meta"]
    assert (meta["seed"], meta["epoch"], meta["CLASSES"]) == (3, 1, ["bolt", "nut"])


def test_test_writes_scores_tables_and_pictures(config, checkpoint, tmp_path, capsys):
    out = tmp_path / "detections.json"
    options = [
        "--eval",
        "bbox",
        "--work-dir",
        tmp_path,
        "--out",
        out,
        "--show-dir",
        tmp_path / "drawn",
        "--device",
        "cpu",
    ]
    run_test([config, checkpoint, *options, "--show-score-thr", 0.0, "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "Target domain: night" in printed
    assert re.search(r"\| bolt +\| .* \| nut ", printed)  # the per-class table
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert {"night_bbox_mAP", "day_bbox_mAP_50"} <= set(record["metrics"])
    assert record["provenance"]["versions"]["torch"]

    results = json.loads(out.read_text())
    night = [result for result in results if result["domain"] == "night"]
    assert 0 < len(night) < len(results)
    assert {result["file_name"] for result in night} == {f"{number:03d}.png" for number in range(1, 6)}
    truth = COCO(str(config.parent / "data/night/annotations.json"))
    assert len(truth.loadRes(night).anns) == len(night)
    for domain in ("day", "night"):
        assert cv2.imread(str(tmp_path / "drawn" / domain / "003.png")) is not None
    assert not [path for path in tmp_path.rglob(".*")]


def test_batches_give_the_same_detections(config, checkpoint, tmp_path):
    results = []
    for batch in (1, 3):
        out = tmp_path / f"{batch}.pkl"
        options = ["--cfg-options", f"data.test_dataloader.samples_per_gpu={batch}"]
        run_test([config, checkpoint, "--out", out, "--device", "cpu", *options])
        results.append(pickle.loads(out.read_bytes()))
    assert len(results[0]) == len(results[1]) == 10
    for one, other in zip(*results, strict=True):
        for boxes, others in zip(one, other, strict=True):
            np.testing.assert_allclose(boxes, others, atol=1e-3)


def test_the_faster_detector_finds_what_the_checkpoint_finds(config, checkpoint, tmp_path):
    """tools/test.py against mmdet's loop with the detector as it was trained, in boxes and in mAP."""
    out, options = tmp_path / "ours.pkl", ["--device", "cpu", "--eval", "bbox", "--work-dir", tmp_path]
    run_test([config, checkpoint, "--out", out, *options])
    cfg = load_config(config)
    dataset = build_dataset(cfg.data.test, dict(test_mode=True))
    loader = build_dataloader(dataset, samples_per_gpu=1, workers_per_gpu=0, dist=False, shuffle=False)
    expected = single_gpu_test(build_dp(build_model(cfg, checkpoint), "cpu"), loader)
    for ours, theirs in zip(pickle.loads(out.read_bytes()), expected, strict=True):
        for boxes, others in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(boxes, others, rtol=1e-4, atol=1e-3)
    scores = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    plain = dataset.evaluate(expected)
    assert {name: scores[name] for name in plain if name.endswith("mAP")} == {
        name: pytest.approx(plain[name], abs=1e-3) for name in plain if name.endswith("mAP")
    }


def test_images_padded_to_different_sizes_give_the_same_detections_in_any_batch(folder, checkpoint, tmp_path):
    for number, size_hw in enumerate([(64, 96), (96, 64), (40, 96), (64, 64)]):
        make_coco(tmp_path / f"part{number}", n_images=1, size_hw=size_hw, classes=("bolt", "nut"), seed=number)
    shutil.copytree(folder / "data", tmp_path / "data")
    annotations = json.loads((tmp_path / "part0/annotations.json").read_text())
    annotations.update(images=[], annotations=[])
    for number in range(4):
        part = json.loads((tmp_path / f"part{number}/annotations.json").read_text())
        name = f"odd{number}.png"
        shutil.copy(tmp_path / f"part{number}/images/001.png", tmp_path / "data/night/images" / name)
        annotations["images"].append({**part["images"][0], "id": number, "file_name": name})
    (tmp_path / "data/night/annotations.json").write_text(json.dumps(annotations))
    text = (folder / "config.py").read_text().replace("'size': (64, 96), 'pad_val'", "'size_divisor': 32, 'pad_val'")
    (tmp_path / "config.py").write_text(text.replace(str(folder / "data"), str(tmp_path / "data")))
    results = []
    for batch in (1, 9):
        out = tmp_path / f"{batch}.pkl"
        options = ["--cfg-options", f"data.test_dataloader.samples_per_gpu={batch}"]
        run_test([tmp_path / "config.py", checkpoint, "--out", out, "--device", "cpu", *options])
        results.append(pickle.loads(out.read_bytes()))
    assert len(results[0]) == 9
    for one, other in zip(*results, strict=True):
        for boxes, others in zip(one, other, strict=True):
            np.testing.assert_allclose(boxes, others, atol=1e-3)


def test_test_time_augmentation_takes_one_image_at_a_time(config, checkpoint, tmp_path, capsys):
    options = ["--out", tmp_path / "tta.pkl", "--device", "cpu"]
    run_test([config, checkpoint, *options, "--tta", "--cfg-options", "data.test_dataloader.samples_per_gpu=2"])
    assert "batch size 1 instead of 2" in capsys.readouterr().out
    assert len(pickle.loads((tmp_path / "tta.pkl").read_bytes())) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to do"),
        (["--out", "results.txt"], "must end in .pkl .* or .json"),
        (["--eval", "bbox", "--device", "cuda:99"], "cuda:99"),
    ],
)
def test_test_refuses(config, checkpoint, arguments, message):
    with pytest.raises(UserError, match=message):
        run_test([config, checkpoint, *arguments])


def test_other_classes_are_refused(config, checkpoint):
    datasets = "data.test.datasets"
    options = ["--cfg-options", f"{datasets}.0.classes=nut,bolt", f"{datasets}.1.classes=nut,bolt"]
    with pytest.raises(UserError, match=r"class lists differ.*\['bolt', 'nut'\].*\['nut', 'bolt'\]"):
        run_test([config, checkpoint, "--eval", "bbox", "--device", "cpu", *options])


def test_inference_on_the_configs_test_set(config, checkpoint, tmp_path, capsys):
    run_inference([config, checkpoint, tmp_path, "--device", "cpu"])
    assert "10 images" in capsys.readouterr().out
    coco = COCO(str(tmp_path / "detections.json"))
    assert len(coco.imgs) == 10 and len(coco.anns) > 0
    assert {image["domain"] for image in coco.imgs.values()} == {"day", "night"}
    for image in coco.imgs.values():
        picture = cv2.imread(str(tmp_path / image["file_name"]))
        assert picture.shape[0] % image["height"] == 0 and picture.shape[1] % image["width"] == 0
    assert [category["name"] for category in coco.cats.values()] == ["bolt", "nut"]


def test_inference_on_folders_skips_what_it_cannot_read(config, checkpoint, tmp_path, capsys):
    for name in ("a", "b"):
        shutil.copytree(config.parent / "data/night/images", tmp_path / name / "deep")
    (tmp_path / "a/deep/broken.JPG").write_bytes(b"not an image")
    command = [config, checkpoint, tmp_path / "out", "--img", tmp_path / "a", tmp_path / "b/deep/001.png"]
    command += ["--domain", "day", "--device", "cpu", "--score-thr", 0.0]
    run_inference(command)
    captured = capsys.readouterr()
    assert "6 images, 1 unreadable ones skipped" in captured.out and "broken.JPG" in captured.err
    coco = COCO(str(tmp_path / "out/detections.json"))
    assert {image["domain"] for image in coco.imgs.values()} == {"day"}
    assert (tmp_path / "out/deep/001.png").exists() and (tmp_path / "out/001.png").exists()
    assert f"skipped: {len(coco.anns)} detections of score 0 and better" in captured.out and len(coco.anns) > 0
    with pytest.raises(UserError, match=r"broken\.JPG is missing or unreadable"):
        run_inference([*command, "--strict"])
    run_inference([*command, "--score-thr", 1])
    assert ": 0 detections of score 1 and better" in capsys.readouterr().out


def odd_pictures(folder):
    """Pictures of shapes, names and contents that some step may not expect; returns a COCO file of them."""
    folder.mkdir()
    grey = np.full((40, 60, 3), 90, np.uint8)
    shapes = {"tall.png": (1000, 3), "wide.png": (1, 9000), "dot.png": (1, 1), "sound.png": (40, 60)}
    for name, size_hw in shapes.items():
        cv2.imwrite(str(folder / name), np.full((*size_hw, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "deep.png"), np.full((40, 60), 60_000, np.uint16))
    cv2.imwrite(str(folder / "line\nbreak o'b.png"), grey)
    cv2.imwrite(str(folder / f"{'n' * 246}.png"), grey)
    (folder / "a.jfif").write_bytes(cv2.imencode(".jpg", grey)[1].tobytes())
    (folder / "truncated.png").write_bytes((folder / "tall.png").read_bytes()[:-40])
    (folder / "text.png").write_text("no picture")
    sizes = {path.name: cv2.imread(str(path)) for path in sorted(folder.iterdir())}
    images = [
        dict(id=number, file_name=name, height=picture.shape[0], width=picture.shape[1])
        for number, (name, picture) in enumerate(sizes.items(), start=1)
        if picture is not None
    ]
    boxes = [
        dict(id=image["id"], image_id=image["id"], category_id=1, bbox=[0, 0, image["width"], image["height"]])
        for image in images
    ]
    categories = [dict(id=1, name="bolt"), dict(id=2, name="nut")]
    path = folder.parent / "odd.json"
    path.write_text(json.dumps(dict(images=images, annotations=boxes, categories=categories)))
    return path


def test_odd_pictures_cost_nobody_else(config, checkpoint, tmp_path, capsys):
    odd = odd_pictures(tmp_path / "odd")
    names = [image["file_name"] for image in json.loads(odd.read_text())["images"]]
    options = ["--device", "cpu"]
    run_inference([config, checkpoint, tmp_path / "folder", "--img", tmp_path / "odd", *options])
    captured = capsys.readouterr()
    assert f"{len(names) - 1} images, 2 unreadable ones skipped" in captured.out  # a folder's a.jfif is none
    run_inference([config, checkpoint, tmp_path / "listed", "--img", odd, "--img_root", tmp_path / "odd", *options])
    assert f"{len(names)} images" in capsys.readouterr().out
    drawn = {path.name for path in (tmp_path / "listed").iterdir()}
    assert {"a.jfif.png", "tall.png", "line\nbreak o'b.png"} <= drawn and len(drawn) == len(names) + 1
    sets = [f"data.test.datasets.0.ann_file={odd}", f"data.test.datasets.0.img_prefix={tmp_path / 'odd'}"]
    run_test([config, checkpoint, "--eval", "bbox", "--show-dir", tmp_path / "shown", *options, "--cfg-options", *sets])
    assert {path.name for path in (tmp_path / "shown/night").iterdir()} == drawn - {"detections.json"}


def test_whatever_raises_for_one_picture_costs_that_one_only(config, checkpoint, tmp_path, monkeypatch, capsys):
    images = config.parent / "data/night/images"
    stock = Detector.detect_prepared

    def detect(self, items):
        if items[0]["img_metas"][0].data["filename"].endswith("002.png"):
            raise RuntimeError("not enough memory:\nyou tried to allocate 9 GB")
        return stock(self, items)

    monkeypatch.setattr(Detector, "detect_prepared", detect)
    run_inference([config, checkpoint, tmp_path / "out", "--img", images, "--device", "cpu"])
    captured = capsys.readouterr()
    assert "4 images, 1 unreadable ones skipped" in captured.out
    assert "002.png (RuntimeError: not enough memory: you tried to allocate 9 GB)" in captured.err
    monkeypatch.setattr(Detector, "detect_prepared", lambda self, items: 1 / 0)
    with pytest.raises(UserError, match="none of the 5 images .* first is .*ZeroDivisionError: division by zero"):
        run_inference([config, checkpoint, tmp_path / "out", "--img", images, "--device", "cpu"])


def test_the_domain_decides_which_memory_is_read(config, checkpoint, tmp_path):
    scores = {}
    for name, options in dict(day=["--domain", "day"], night=["--domain", "night"], default=[]).items():
        images = ["--img", config.parent / "data/night/images"]
        run_inference([config, checkpoint, tmp_path / name, *images, *options, "--device", "cpu"])
        coco = json.loads((tmp_path / name / "detections.json").read_text())
        scores[name] = [found["score"] for found in coco["annotations"]]
    assert scores["default"] == scores["night"] != scores["day"]


def test_an_exported_detector_finds_what_its_checkpoint_finds(config, checkpoint, tmp_path, capsys):
    options = ["--domain", "day", "--cfg-options", "model.test_cfg.max_per_img=999"]
    run_export([config, checkpoint, tmp_path / "day.onnx", *options])
    assert "day.onnx: agrees with PyTorch in" in capsys.readouterr().out
    found = {}
    for name, weights in (("torch", checkpoint), ("onnx", tmp_path / "day.onnx")):
        run_inference([config, weights, tmp_path / name, *options, "--device", "cpu"])
        coco = json.loads((tmp_path / name / "detections.json").read_text())
        assert {image["domain"] for image in coco["images"]} == {"day"} and len(coco["images"]) == 5
        by_image = groupby(coco["annotations"], key=lambda item: item["image_id"])
        found[name] = [np.array([[*i["bbox"], i["score"], i["category_id"]] for i in items]) for _, items in by_image]
    for ours, theirs in zip(found["onnx"], found["torch"], strict=True):
        assert len(ours) == len(theirs) > 10
        assert detections_difference(theirs, ours) < 1e-3
    with pytest.raises(UserError, match="unknown domain 'night'; the memory knows day"):
        run_inference([config, tmp_path / "day.onnx", tmp_path, "--domain", "night"])


def test_drawings_do_not_replace_images(folder, config, checkpoint, tmp_path):
    shutil.copytree(folder / "data/day/images", tmp_path / "images")
    before = {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()}
    with pytest.raises(UserError, match="is the folder of images itself; choose another"):
        run_inference([config, checkpoint, tmp_path / "images", "--img", tmp_path / "images", "--device", "cpu"])
    image = sorted((tmp_path / "images").iterdir())[0]
    with pytest.raises(UserError, match="would be replaced by its own drawing; choose another `save_dir`"):
        run_inference([config, checkpoint, tmp_path / "images", "--img", image, "--device", "cpu"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()} == before


def test_drawings_below_the_images_are_not_taken_for_images(folder, config, checkpoint, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder / "data/day/images", tmp_path / "day")
    monkeypatch.chdir(tmp_path)
    count = len(list((tmp_path / "day").iterdir()))
    for _ in range(2):
        run_inference([config, checkpoint, "drawn", "--img", ".", "--device", "cpu"])
        assert len(json.loads((tmp_path / "drawn/detections.json").read_text())["images"]) == count
    assert capsys.readouterr().err.count("drawn is not searched for images") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--domain", "fog"], "unknown domain 'fog'; the memory knows day, night"),
        (["--img", "nowhere"], "nowhere does not exist"),
    ],
)
def test_inference_refuses(config, checkpoint, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run_inference([config, checkpoint, tmp_path, "--device", "cpu", *options])


def run(*command, **environment):
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, cwd=ROOT)


def test_launch_scripts_refuse_bad_arguments(config):
    for command, message in [
        (["tools/dist_train.sh", config], "usage: "),
        (["tools/dist_train.sh", config, "two"], "GPUS is 'two'"),
        (["tools/dist_test.sh", config, "c.pth"], "usage: "),
        (["tools/slurm_train.sh", "partition"], "usage: "),
        (["tools/dist_extract.sh", 2], "usage: "),
    ]:
        result = run(*command)
        assert result.returncode == 2 and message in result.stderr and len(result.stderr.splitlines()) == 1


def test_dist_train_with_0_gpus_is_one_clear_line_and_exit_2_for_a_missing_config():
    result = run("tools/dist_train.sh", "configs/nothing.py", 0)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "error: config configs/nothing.py does not exist; check the path"
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_two_processes_train_and_test(folder, checkpoint, tmp_path):
    options = ["--cfg-options", "runner.max_epochs=1", "evaluation.interval=1", f"load_from={checkpoint}"]
    options += ["model.adapter.memory.files=None"]
    result = run("tools/dist_train.sh", folder / "config.py", 2, "--work-dir", tmp_path, *options)
    assert result.returncode == 0, result.stderr
    assert "night_bbox_mAP" in result.stderr
    trained = tmp_path / "latest.pth"
    assert torch.load(trained, weights_only=True)["meta"]["world_size"] == 2
    assert "2 process(es)" in result.stderr

    options = ["--eval", "bbox", "--work-dir", tmp_path, "--out", tmp_path / "two.pkl"]
    result = run("tools/dist_test.sh", folder / "config.py", trained, 2, *options)
    assert result.returncode == 0, result.stderr
    run_test([folder / "config.py", trained, "--out", tmp_path / "one.pkl", "--device", "cpu"])
    one, two = (pickle.loads((tmp_path / f"{name}.pkl").read_bytes()) for name in ("one", "two"))
    for boxes, others in zip(one, two, strict=True):
        for expected, found in zip(boxes, others, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_release_whose_one_class_is_a_text(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "convert_release", lambda state_dict, domains: state_dict)
    monkeypatch.setattr(release, "describe", lambda state_dict: "")
    torch.save(dict(state_dict={}, meta=dict(CLASSES="car")), tmp_path / "in.pth")
    tool("tools/model_converters/release_to_ms2a.py")(
        [tmp_path / "in.pth", tmp_path / "out.pth", "--domains", "a", "b"]
    )
    assert torch.load(tmp_path / "out.pth")["meta"]["CLASSES"] == ["car"]
