"""Which file the name of weights means, and what is said where there is none."""

import re

import pytest
import torch
from mmdet.datasets import CocoDataset

from ms2a.apis.pretrained import PUBLISHED, coco_weights, find_start
from ms2a.defaults import DETECTORS
from ms2a.engine.downloads import CHECKSUM, cache_folder
from ms2a.engine.sizes import size_of_weights
from ms2a.errors import UserError
from tests.yolox_files import detector_of, yolox_names


def save(model, path, project=False):
    weights = model.state_dict()
    torch.save({"model": yolox_names(weights)} if project else {"state_dict": weights, "meta": {}}, path)
    return path


def test_every_size_but_small_has_an_address():
    assert set(PUBLISHED) == set(DETECTORS) - {"small"}
    for size, url in PUBLISHED.items():
        mmdet = "openmmlab.com" in url
        assert re.search(rf"/yolox_{size}(_8x8_300e_coco_\d+_\d+-[0-9a-f]{{8}})?\.pth$", url)
        assert bool(CHECKSUM.search(url)) == mmdet == (size not in ("nano", "m"))


def test_no_network_and_no_file_names_file_address_and_folder(tmp_path, monkeypatch):
    for size, url in PUBLISHED.items():
        with pytest.raises(UserError) as error:
            find_start(size, "coco")
        name = url.rsplit("/", 1)[1]
        assert str(error.value).startswith(f"COCO weights of size {size} {url} cannot be downloaded (")
        assert str(error.value).endswith(f"put {name} from there into a folder and set MS2A_WEIGHTS to that folder")
    assert not list(tmp_path.iterdir()) and not list(cache_folder().iterdir())


def test_a_file_in_mmdets_layout_in_the_named_folder_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("MS2A_WEIGHTS", str(tmp_path))
    path = save(detector_of("nano"), tmp_path / "yolox_nano_coco_mmdet.pth")
    assert coco_weights("nano") == path and not cache_folder().exists()


def test_the_projects_file_is_converted_into_the_cache_once_for_each_content(tmp_path, monkeypatch):
    monkeypatch.setenv("MS2A_WEIGHTS", str(tmp_path))
    models = [detector_of("nano", 80), detector_of("nano", 80, seed=1)]
    converted = []
    for model in models:
        save(model, tmp_path / "yolox_nano.pth", project=True)
        converted.append(coco_weights("nano"))
        time = converted[-1].stat().st_mtime_ns
        assert coco_weights("nano") == converted[-1] and converted[-1].stat().st_mtime_ns == time
        content = torch.load(converted[-1], weights_only=True)
        assert content["meta"]["CLASSES"] == list(CocoDataset.CLASSES)
        assert all(torch.equal(value, content["state_dict"][name]) for name, value in model.state_dict().items())
    assert sorted(cache_folder().iterdir()) == sorted(converted) and len(set(converted)) == 2


def test_a_file_is_of_the_size_that_it_is(tmp_path):
    path = save(detector_of("tiny"), tmp_path / "own.pth")
    assert find_start(None, str(path)).detector == find_start("tiny", str(path)).detector == "tiny"
    with pytest.raises(UserError, match="own.pth is of size tiny, the detector of size s; give detector=tiny"):
        find_start("s", str(path))
    theirs = save(detector_of("nano", 80), tmp_path / "yolox.pth", project=True)
    start = find_start(None, str(theirs))
    assert start.detector == "nano" and start.weights.parent == cache_folder()
    assert size_of_weights(torch.load(start.weights, weights_only=True)["state_dict"]) == "nano"


def test_a_wrong_file_in_the_place_of_a_published_one_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MS2A_WEIGHTS", str(tmp_path))
    save(detector_of("tiny", 80), tmp_path / "yolox_nano.pth", project=True)
    with pytest.raises(UserError, match="is of size tiny, the detector of size nano"):
        coco_weights("nano")
    (tmp_path / "yolox_nano.pth").write_bytes((tmp_path / "yolox_nano.pth").read_bytes()[:5000])
    with pytest.raises(UserError, match="weights .*yolox_nano.pth (cannot be read|was refused)"):
        coco_weights("nano")
    name = PUBLISHED["tiny"].rsplit("/", 1)[1]
    (tmp_path / name).write_bytes(b"other")
    with pytest.raises(UserError, match=f"{name}: its checksum is .*, expected b4047906; it is damaged, copy it again"):
        coco_weights("tiny")


@pytest.mark.parametrize(
    ("detector", "weights", "message"),
    [
        ("big", "coco", "`detector=big`: expected one of nano, small, tiny, s, m, l, x"),
        ("small", "coco", "none for a detector of size small; choose one of the sizes nano, tiny, s, m, l, x, or"),
        ("nano", "gone.pth", "weights gone.pth do not exist; check the path, or name a folder of weights by MS2A_WEIG"),
        ("nano", "yolox_nano.onnx", "convert them first: ms2a convert yolox yolox_nano.onnx OUT.pth --images FOLDER"),
        ("nano", "https://somewhere.invalid/w.pth", r"weights https://somewhere.invalid/w.pth cannot be downloaded \("),
    ],
)
def test_mistakes_are_one_line(detector, weights, message):
    with pytest.raises(UserError, match=message) as error:
        find_start(detector, weights)
    assert "\n" not in str(error.value)
