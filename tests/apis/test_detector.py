"""``Detector``: every form of picture, sizes other than the network's, batches, threads, ONNX, mmdet's own way."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmcv import Config
from PIL import Image
from pycocotools.coco import COCO

import ms2a
from ms2a.apis.export import export_onnx
from ms2a.apis.inference import infer
from ms2a.config import CONFIGS, load_config
from ms2a.errors import UserError
from ms2a.models.build import build_model
from tests.tiny import ROOT, calibrate, make_checkpoint, make_config, make_domains, make_memory

CLASSES = ("nut", "bolt")
# Height and width; the network sees 64 × 96.
SIZES_HW = [(64, 96), (96, 64), (200, 300), (50, 77), (33, 120), (151, 40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_domains(tmp_path_factory.mktemp("detector"), CLASSES)
    make_config(folder / "config.py", folder, CLASSES, memory=make_memory(folder))
    calibrate(make_checkpoint(folder / "weights.pth", folder / "config.py", CLASSES), folder / "config.py")
    for number in range(len(SIZES_HW)):
        cv2.imwrite(str(folder / f"{number}.png"), picture(number))
    return folder


@pytest.fixture(scope="module")
def detector(folder):
    return ms2a.Detector(folder / "config.py", folder / "weights.pth", device="cpu")


def picture(number):
    """Coloured noise of low frequency, BGR: its channels differ, so a swap of them shows."""
    height, width = SIZES_HW[number]
    coarse = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def same(one, other, atol=1e-3):
    assert len(one) == len(other) > 0
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=atol)


def differ(one, other):
    return len(one) != len(other) or np.abs(one.boxes_xyxy - other.boxes_xyxy).max() > 0.01


@pytest.mark.parametrize("number", range(len(SIZES_HW)))
def test_boxes_are_in_pixels_of_the_picture(folder, detector, number):
    """Against resizing and padding by hand, the detector as it was trained, and boxes divided by the scale."""
    image = picture(number)
    height, width = image.shape[:2]
    scale = min(64 / height, 96 / width)
    new_hw = int(height * scale + 0.5), int(width * scale + 0.5)
    canvas = np.full((64, 96, 3), 114, np.uint8)
    canvas[: new_hw[0], : new_hw[1]] = cv2.resize(image, new_hw[::-1], interpolation=cv2.INTER_LINEAR)
    model = build_model(load_config(folder / "config.py"), folder / "weights.pth")
    meta = dict(domain="night", pad_shape=(64, 96, 3), img_shape=(64, 96, 3), scale_factor=np.ones(4, np.float32))
    with torch.no_grad():
        network = torch.from_numpy(canvas).permute(2, 0, 1)[None].float()
        rows = model.simple_test(network, [meta])[0]
    factors = np.float32([new_hw[1] / width, new_hw[0] / height] * 2)
    expected = np.concatenate(rows)
    expected = expected[np.argsort(-expected[:, 4], kind="stable")]
    found = detector(image, score_thr=0)
    assert found.size_hw == (height, width)
    np.testing.assert_allclose(found.boxes_xyxy, expected[:, :4] / factors, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-4)


def test_every_form_of_a_picture_gives_the_same(folder, detector):
    path, bgr = folder / "2.png", picture(2)
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    expected = detector(path, score_thr=0)
    assert expected.path == str(path) and expected.domain == "night"
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    for form in (
        str(path),
        bgr,
        bgr[:, ::-1][:, ::-1],
        Image.fromarray(rgb),
        tensor,
        tensor / 255,
        tensor.double() / 255,
    ):
        same(detector(form, score_thr=0), expected)
    assert differ(detector(rgb, score_thr=0), expected)  # the order of channels matters here
    grey = bgr[..., 0]
    expected = detector(np.stack([grey] * 3, axis=2), score_thr=0)
    for form in (grey, Image.fromarray(grey), torch.from_numpy(grey)[None]):
        same(detector(form, score_thr=0), expected)


def test_pictures_are_not_changed_and_turned_ones_are_turned_alike(folder, detector):
    image = picture(0)
    before = image.copy()
    result = detector(image, score_thr=0)
    result.draw(image)
    np.testing.assert_array_equal(image, before)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(picture(4)[..., ::-1].copy()).save(folder / "turned.jpg", exif=exif, quality=100)
    from_file = detector(folder / "turned.jpg", score_thr=0)
    assert from_file.size_hw == (120, 33)
    with Image.open(folder / "turned.jpg") as opened:
        assert detector(opened, score_thr=0).size_hw == (120, 33)


def test_a_list_gives_what_its_pictures_give_alone_in_any_batch(folder, detector):
    mixed = [folder / "0.png", picture(1), folder / "2.png", picture(3), picture(4), folder / "5.png"]
    alone = [detector(image, score_thr=0) for image in mixed]
    for batch_size in (1, 4, 100):
        for one, other in zip(detector(mixed, score_thr=0, batch_size=batch_size), alone, strict=True):
            same(one, other)
    assert detector([]) == []


def test_images_padded_to_multiples_go_apart(folder):
    pad = "data.test.pipeline.1.transforms.2"
    options = {f"{pad}.size": None, f"{pad}.size_divisor": 32}
    detector = ms2a.Detector(folder / "config.py", folder / "weights.pth", "cpu", options)
    mixed = [picture(number) for number in range(len(SIZES_HW))]
    for one, image in zip(detector(mixed, score_thr=0), mixed, strict=True):
        same(one, detector(image, score_thr=0))


def test_the_domain_decides_what_is_read(folder, detector):
    assert (detector.domains, detector.default_domain, detector.classes) == (["day", "night"], "night", CLASSES)
    default, night, day = (detector(picture(0), domain=domain, score_thr=0) for domain in (None, "night", "day"))
    same(default, night)
    assert differ(default, day) and day.domain == "day"
    with pytest.raises(UserError, match="unknown domain 'fog'; the memory knows day, night"):
        detector(picture(0), domain="fog")


def test_several_threads_may_ask_one_detector(folder, detector):
    asked = [(picture(number), domain) for number in range(len(SIZES_HW)) for domain in ("day", "night")] * 4
    expected = [detector(image, domain=domain, score_thr=0) for image, domain in asked]
    fresh = ms2a.Detector(folder / "config.py", folder / "weights.pth", device="cpu")  # nothing is packed or kept yet
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda ask: fresh(ask[0], domain=ask[1], score_thr=0), asked))
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def test_the_result(folder, detector):
    result = detector(folder / "2.png", score_thr=0)
    assert (np.diff(result.scores) <= 0).all() and len(result) == 5
    middle = float(result.scores[2])
    kept = detector(folder / "2.png", score_thr=middle)
    assert len(kept) == (result.scores >= middle).sum() < len(result)
    assert result.names == [CLASSES[label] for label in result.labels]
    for plain, box, score, name in zip(result.to_dicts(), result.boxes_xyxy, result.scores, result.names, strict=True):
        assert plain["box_xyxy"] == box.tolist() and plain["score"] == float(score) and plain["name"] == name
    json.dumps(result.to_dicts())

    annotations = result.to_coco(image_id=7, first_id=3)
    assert [item["id"] for item in annotations] == [3, 4, 5, 6, 7] and {item["image_id"] for item in annotations} == {7}
    x, y, width, height = annotations[0]["bbox"]
    np.testing.assert_allclose([x, y, x + width, y + height], result.boxes_xyxy[0], rtol=1e-5)
    coco = COCO()
    coco.dataset = dict(images=[dict(id=7)], categories=[dict(id=1), dict(id=2)], annotations=annotations)
    coco.createIndex()
    assert len(coco.getAnnIds(imgIds=[7])) == 5

    drawn = result.draw()
    np.testing.assert_array_equal(drawn, result.draw(picture(2)))
    assert (drawn != result.draw(score_thr=1.0)).any()
    with pytest.raises(UserError, match=r"of size \(64, 96\), the detections of \(200, 300\)"):
        result.draw(picture(0))
    with pytest.raises(UserError, match=r"give it again, result\.draw\(image\)"):
        detector(picture(2)).draw()


def test_detections_for_supervision(detector, monkeypatch):
    """With a stand-in of the one class that is used, and with the library where that is installed."""
    result = detector(picture(2), score_thr=0)
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match="supervision is not installed; run: pip install supervision"):
        result.to_supervision()
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=dict))
    given = result.to_supervision()
    assert given["xyxy"].shape == (5, 4) and given["confidence"].dtype == np.float32 and given["class_id"].shape == (5,)
    assert given["data"]["class_name"].tolist() == result.names
    monkeypatch.delitem(sys.modules, "supervision")
    supervision = pytest.importorskip("supervision")
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections) and len(found) == len(result)
    np.testing.assert_array_equal(found.xyxy, result.boxes_xyxy)
    assert list(found.data["class_name"]) == result.names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.png", "image none.png is missing or unreadable"),
        (ROOT / "README.md", "README.md is missing or unreadable"),
        (np.zeros((8, 8, 3)), r"array of shape \(8, 8, 3\) and type float64: expected a path, a uint8 array"),
        (np.zeros((8, 8, 4), np.uint8), r"array of shape \(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), r"array of shape \(0, 8, 3\)"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"tensor of shape \(8, 8, 3\)"),
        (torch.full((3, 8, 8), 255.0), "float tensor with values from 255 to 255"),
        (torch.full((3, 8, 8), float("nan")), "float tensor with values from nan"),
        (Image.fromarray(np.zeros((8, 8), np.uint16)), "PIL image of mode I;16, expected 8 bits"),
        (3, "picture of type int"),
    ],
)
def test_what_is_no_picture_is_refused(detector, given, message):
    with pytest.raises(UserError, match=message):
        detector(given)


def test_impossible_numbers_and_files_are_refused(folder, detector):
    for options in (dict(score_thr=30), dict(score_thr=float("nan")), dict(batch_size=0)):
        with pytest.raises(UserError, match=next(iter(options))):
            detector(picture(0), **options)
    with pytest.raises(UserError, match="`checkpoint` of config .* is missing"):
        ms2a.Detector(folder / "config.py")


def test_an_exported_file_alone_finds_what_its_checkpoint_finds(folder, detector):
    export_onnx(load_config(folder / "config.py"), folder / "weights.pth", folder / "day.onnx", domain="day")
    exported = ms2a.Detector(folder / "day.onnx")
    assert exported.domains == ["day"]
    mixed = [picture(number) for number in range(len(SIZES_HW))]
    for one, other in zip(exported(mixed, score_thr=0.05), detector(mixed, "day", score_thr=0.05), strict=True):
        same(one, other, atol=0.05)
    same(
        ms2a.Detector(folder / "config.py", folder / "day.onnx")(mixed[0], score_thr=0), exported(mixed[0], score_thr=0)
    )
    with pytest.raises(UserError, match="unknown domain 'night'; the memory knows day"):
        exported(mixed[0], domain="night")


def test_infer_takes_a_picture_by_its_bare_name(folder, tmp_path):
    cfg = load_config(folder / "config.py")
    assert infer(cfg, folder / "weights.pth", tmp_path / "out", img=str(folder / "2.png"), device="cpu").num_images == 1
    content = json.loads((tmp_path / "out" / "detections.json").read_text())
    expected = ms2a.Detector(cfg, folder / "weights.pth", "cpu")(folder / "2.png", score_thr=0)
    assert [item["bbox"] for item in content["annotations"]] == [item["bbox"] for item in expected.to_coco()]


MMDET = """
import sys
from mmdet.apis import inference_detector, init_detector

first, *arguments = sys.argv[1:]
if first != "mmdet":
    __import__(first)
config, checkpoint, image = arguments
import cv2
model = init_detector(config, checkpoint, device="cpu")
by_file, by_array = inference_detector(model, image), inference_detector(model, cv2.imread(image))
several = inference_detector(model, [image, image])
assert all((one == other).all() for one, other in zip(by_file, by_array)) and len(several) == 2
print([[[round(float(value), 2) for value in row] for row in rows] for rows in by_file])
"""


SLOW = pytest.mark.slow  # a process each, which imports all
FIRST_AND_KIND = [
    ("mmdet", "references"),
    pytest.param("ms2a", "references", marks=SLOW),
    pytest.param("mmdet", "settled", marks=SLOW),
    pytest.param("ms2a", "settled", marks=SLOW),
    pytest.param("mmdet", "settled by an earlier version", marks=SLOW),
]


@pytest.mark.parametrize(("first", "kind"), FIRST_AND_KIND)
def test_mmdets_own_functions_take_a_recipe_and_a_settled_config(folder, tmp_path, detector, first, kind):
    path = tmp_path / "config.py"
    text = (folder / "config.py").read_text()
    if kind == "references":  # nested ones, as the recipes have
        cfg = Config.fromfile(str(folder / "config.py"))
        path.write_text(
            text.replace(f"test_cfg={cfg.model.test_cfg.to_dict()}", "test_cfg='${limits}'")
            + "classes_of = '${names}'\nnames = ('nut', 'bolt')\nlimits = '${settings.limits}'\n"
            + f"settings = dict(limits={cfg.model.test_cfg.to_dict()})\nwhole = '${{data.test.pipeline}}'\n"
        )
        path.write_text(
            path.read_text() + "pipeline = data['test']['pipeline']\ndata['test']['pipeline'] = '${pipeline}'\n"
        )
    else:
        settled = load_config(folder / "config.py").pretty_text
        path.write_text(settled.replace("ms2a.plugin", "ms2a") if "earlier" in kind else settled)
    command = [sys.executable, "-c", MMDET, first, path, folder / "weights.pth", folder / "2.png"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    for ours, theirs in zip(detector(folder / "2.png", score_thr=0).by_class(), rows, strict=True):
        np.testing.assert_allclose(ours, np.float32(theirs).reshape(-1, 5), atol=0.02)


def test_a_published_recipe_builds_by_mmdets_own_function():
    from mmdet.apis import init_detector

    model = init_detector(str(CONFIGS / "yolox" / "yolox_fs_n_custom_pretrain_mom_ft.py"), device="cpu")
    assert model.domains and model.cfg.data.test.pipeline[0].type == "LoadPicture"


def test_infer_draws_what_is_as_strong_as_asked(folder, detector, tmp_path):
    result = detector(folder / "2.png", score_thr=0)
    middle = float(result.scores[1])
    cfg = load_config(folder / "config.py")
    found = infer(cfg, folder / "weights.pth", tmp_path, img=folder / "2.png", score_thr=middle - 1e-5, device="cpu")
    drawn, expected = cv2.imread(str(tmp_path / "2.png")), result.draw(score_thr=middle - 1e-5)
    assert found.num_detections == (result.scores >= middle - 1e-5).sum() < len(result)
    assert (drawn != expected).mean() < 0.001 < (drawn != result.draw()).mean()
