"""The embedded benchmark: pixels by seed alone, boxes of what is seen, folders whole or not at all."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from ms2a.benchmark.indus_synth import Sizes, make_benchmark, render_scene, writer
from ms2a.benchmark.indus_synth.camera import look_at
from ms2a.benchmark.indus_synth.canvas import Canvas, Material
from ms2a.benchmark.indus_synth.parts import KINDS, flat
from ms2a.benchmark.indus_synth.scenes import IMAGE_HW, SCALE, Scene, visible_boxes
from ms2a.benchmark.indus_synth.shapes import rectangle
from ms2a.errors import UserError
from tests.tiny import tool

TINY = Sizes(train=3, val=2, pool=4, unlabelled=2, test=2, shots=(1, 2, 3), split_seeds=2)
STRAIGHT_DOWN = 1.5707963
ABOVE = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "indus_synth"
    assert make_benchmark(out, seed=3, sizes=TINY, workers=2, progress=False)
    return out


def files_of(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_same_arguments_same_pixels_and_others_others():
    first, again = render_scene("t1", "pool", 4), render_scene("t1", "pool", 4)
    assert first.image.shape == (*IMAGE_HW, 3) and first.image.dtype == np.uint8
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes_xyxy, again.boxes_xyxy)
    for other in (("t1", "pool", 5, 0), ("t1", "test", 4, 0), ("t2", "pool", 4, 0), ("t1", "pool", 4, 1)):
        assert (render_scene(*other).image != first.image).any()


def test_opencv_settings_are_left_as_they_were():
    cv2.setUseOptimized(True)
    render_scene("s", "train", 0)
    assert cv2.useOptimized()


@pytest.mark.slow
def test_same_pixels_on_a_processor_without_vector_extensions():
    code = (
        "import hashlib; from ms2a.benchmark.indus_synth import render_scene as r;"
        "print(hashlib.sha256(b''.join(r(f, 'test', i).image.tobytes() for f in ('s', 't1', 't2') for i in range(3)))"
        ".hexdigest())"
    )
    hashes = []
    old_processor = {
        "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3",
        "OPENCV_CPU_DISABLE": "AVX2,AVX512_SKX,FMA3",
    }
    for processor in ({}, old_processor):
        environment = {**os.environ, **processor, "PYTHONWARNINGS": "ignore"}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        hashes.append(run.stdout.split()[-1])
    assert hashes[0] == hashes[1]


def test_factories_differ_in_light():
    means = {domain: [render_scene(domain, "train", i).image.mean() for i in range(6)] for domain in ("s", "t1", "t2")}
    assert min(means["s"]) > max(means["t1"])
    assert np.std(means["t2"]) > 1.5 * np.std(means["s"])


def test_boxes_are_inside_the_image_and_there_are_several():
    scenes = [render_scene(domain, "val", i) for domain in ("s", "t1", "t2") for i in range(4)]
    boxes = np.concatenate([scene.boxes_xyxy for scene in scenes])
    assert boxes.min() >= 0 and boxes[:, 2].max() <= IMAGE_HW[1] and boxes[:, 3].max() <= IMAGE_HW[0]
    assert ((boxes[:, 2:] - boxes[:, :2]) > 2).all()
    assert 2.5 < len(boxes) / len(scenes) <= 8


def scene_with(*places):
    """Boxes of 80 x 80 plates at the given (x, y), each over the ones before; a pixel is two world units."""
    camera = look_at((0.0, 0.0), 640.0, STRAIGHT_DOWN, 0.0, (IMAGE_HW[0] * SCALE, IMAGE_HW[1] * SCALE))
    canvas, rng = Canvas(camera), np.random.default_rng(0)
    steel = Material(np.full(3, 0.3), np.full(3, 0.3), 0.2, 0.1, 0.1, 0.0, 0.01)
    for x, y in places:
        plate = [facet.moved(np.eye(3), np.array([x, y, 0.0])) for facet in flat([rectangle(80, 80)])]
        canvas.add(plate, steel, 0.5, ABOVE, rng)
    return visible_boxes(canvas)


def test_box_is_the_projection_of_the_part():
    # The middle of the picture is (160, 64) and y points away from the camera, up in the picture.
    np.testing.assert_allclose(scene_with((100, 50)), [[190, 19, 230, 59]], atol=0.51)


def test_box_covers_only_what_is_seen():
    below, above = scene_with((0, 0), (40, 0))
    np.testing.assert_allclose(below, [140, 44, 160, 84], atol=0.51)
    np.testing.assert_allclose(above, [160, 44, 200, 84], atol=0.51)


def test_hidden_and_outside_parts_have_no_box():
    assert len(scene_with((0, 0), (4, 0))) == 1
    assert len(scene_with((0, 0), (900, 0))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_sheets_above_the_ground(kind):
    for seed in range(8):
        part = KINDS[kind](np.random.default_rng(seed), 100.0)
        points = np.concatenate([ring for facet in part for ring in facet.points()])
        assert points[:, 2].min() > -40 and np.ptp(points, axis=0).max() > 15
        for facet in part:
            frame = np.stack([facet.u, facet.v, facet.normal])
            np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("kind", ["bracket", "channel", "bent_strip"])
def test_folded_parts_rest_on_two_places(kind):
    for seed in range(8):
        part = KINDS[kind](np.random.default_rng(seed), 100.0)
        points = np.concatenate([facet.points()[0] for facet in part])
        assert abs(points[:, 2].min()) < 1e-9
        touching = points[points[:, 2] < 1e-3]
        assert np.ptp(touching[:, 0]) > 1 and touching[:, 0].min() < 0 < touching[:, 0].max()


def test_layout(benchmark):
    assert json.loads((benchmark / "meta.json").read_text())["seed"] == 3
    assert not list(benchmark.parent.glob(".*"))
    splits = {"s": ["train", "val"], "t1": ["test", "pool"], "t2": ["test", "pool"]}
    for domain, names in splits.items():
        listed = []
        for name in names:
            coco = COCO(str(benchmark / domain / f"{name}.json"))
            assert len(coco.imgs) == getattr(TINY, name)
            assert [category["name"] for category in coco.dataset["categories"]] == ["part"]
            listed += [image["file_name"] for image in coco.imgs.values()]
            for annotation in coco.anns.values():
                x, y, width, height = annotation["bbox"]
                assert annotation["area"] == width * height > 0 and annotation["iscrowd"] == 0
                assert 0 <= x and x + width <= 320 and 0 <= y and y + height <= 128
        assert sorted(listed) == sorted(path.name for path in (benchmark / domain / "images").iterdir())
        image = cv2.imread(str(benchmark / domain / "images" / listed[0]))
        assert image.shape == (128, 320, 3)
    assert len(list((benchmark / "t1" / "unlabelled").iterdir())) == TINY.unlabelled
    assert not (benchmark / "s" / "unlabelled").exists()


def test_splits_are_nested_in_the_pool(benchmark):
    names = {}
    for count in TINY.shots:
        for seed in range(TINY.split_seeds):
            split = json.loads((benchmark / "t2" / f"split{seed}_{count}.json").read_text())
            names[seed, count] = {image["file_name"] for image in split["images"]}
            assert len(names[seed, count]) == count
    pool = {image["file_name"] for image in json.loads((benchmark / "t2" / "pool.json").read_text())["images"]}
    for seed in range(TINY.split_seeds):
        assert names[seed, 1] < names[seed, 2] < names[seed, 3] < pool
    assert not (benchmark / "t2" / "split2_1.json").exists()


def test_files_depend_on_the_seed_alone(benchmark, tmp_path):
    make_benchmark(tmp_path / "one", seed=3, sizes=TINY, workers=1, progress=False)
    assert files_of(tmp_path / "one") == files_of(benchmark)


@pytest.fixture
def quick_render(monkeypatch):
    """Flat pictures that still depend on all arguments: folders are the same, whatever is in the images."""

    def flat_picture(domain, split, index, seed):
        rng = np.random.default_rng([ord(domain[-1]), ord(split[0]), index, seed])
        return Scene(np.full((*IMAGE_HW, 3), rng.integers(256), np.uint8), np.array([[10.0, 20.0, 40.0, 60.0]]))

    monkeypatch.setattr(writer, "render_scene", flat_picture)
    return flat_picture


def test_complete_folder_is_kept_and_a_damaged_one_made_again(quick_render, tmp_path):
    out = tmp_path / "data"
    assert make_benchmark(out, seed=3, sizes=TINY, workers=1, progress=False)
    before = files_of(out)
    assert not make_benchmark(out, seed=3, sizes=TINY, workers=1, progress=False)
    next((out / "t1" / "images").iterdir()).unlink()
    assert make_benchmark(out, seed=3, sizes=TINY, workers=1, progress=False)
    assert files_of(out) == before
    assert make_benchmark(out, seed=4, sizes=TINY, workers=1, progress=False)
    assert files_of(out).keys() == before.keys() and files_of(out) != before


def test_command(quick_render, tmp_path, capsys):
    out = tmp_path / "data" / "indus_synth"
    main = tool("tools/make_indus_synth.py")
    sizes = ["--train", 2, "--val", 1, "--pool", 3, "--unlabelled", 1, "--test", 1, "--shots", 1, 2, "--split-seeds", 1]
    main(["--out", out, "--seed", 7, "--workers", 1, *sizes])
    meta = json.loads((out / "meta.json").read_text())
    assert (meta["seed"], meta["train"], meta["shots"]) == (7, 2, [1, 2])
    assert (out / "t1" / "split0_2.json").exists()
    main(["--out", out, "--seed", 7, *sizes])
    assert "already complete" in capsys.readouterr().out


def test_failure_leaves_the_old_folder_and_nothing_else(quick_render, tmp_path, monkeypatch):
    out = tmp_path / "data"
    make_benchmark(out, seed=3, sizes=TINY, workers=1, progress=False)
    before = files_of(tmp_path)

    def break_down(domain, split, index, seed):
        if domain == "t2":
            raise RuntimeError("lamp broken")
        return quick_render(domain, split, index, seed)

    monkeypatch.setattr(writer, "render_scene", break_down)
    with pytest.raises(RuntimeError, match="lamp broken"):
        make_benchmark(out, seed=5, sizes=TINY, workers=1, progress=False)
    assert files_of(tmp_path) == before


def test_mistakes(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    (tmp_path / "meta.json").write_text('{"album": "holidays"}')
    with pytest.raises(UserError, match="not made by this generator"):
        make_benchmark(tmp_path, sizes=TINY)
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"
    with pytest.raises(UserError, match="split of 30.*pool of 20"):
        make_benchmark(tmp_path / "out", sizes=Sizes(pool=20, shots=(10, 30)))
    with pytest.raises(UserError, match="train must be positive, got 0"):
        make_benchmark(tmp_path / "out", sizes=Sizes(train=0))
