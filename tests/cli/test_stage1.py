"""extract_fea_fewshot.py and knn_cuda.py on tiny pictures with a tiny detector."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from ms2a.config import load_config
from ms2a.datasets.memory_colour import colour_quantiles
from ms2a.errors import UserError
from ms2a.memory.files import read_prototypes
from ms2a.models.build import build_model
from tests.tiny import MEMORY_SIZES_HW, make_checkpoint, make_config, make_domains, tool

extract = tool("extract_fea_fewshot.py")
cluster = tool("knn_cuda.py")

N_IMAGES, CHANNELS = 6, 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_domains(tmp_path_factory.mktemp("stage1"), n_images=N_IMAGES)
    make_checkpoint(folder / "base.pth", make_config(folder / "base.py", folder))
    return folder


def _extract(folder, out, *more, img="night/images", depart="night", workers=0):
    common = ["--config", folder / "base.py", "--checkpoint", folder / "base.pth", "--out_path", out]
    extract(["--depart", depart, "--img", folder / img, *common, "--device", "cpu", "--workers", workers, *more])
    return torch.load(out / f"{depart}.pth", weights_only=True)


@pytest.fixture(scope="module")
def features(folder):
    return _extract(folder, folder / "all", "--max-samples", 0, "--batch_size", 4, "--dim", CHANNELS)


def test_every_map_of_every_image_against_a_plain_loop(folder, features):
    cfg = load_config(folder / "base.py")
    model = build_model(cfg, folder / "base.pth")
    expected = [[] for _ in MEMORY_SIZES_HW]
    for path in sorted((folder / "night" / "images").iterdir()):
        image = torch.from_numpy(cv2.imread(str(path))).permute(2, 0, 1)[None].float()  # 64x96 already
        with torch.no_grad():
            for rows, level in zip(expected, model.neck(model.backbone(image)), strict=True):
                rows.append(level[0])
    for index, size in enumerate(MEMORY_SIZES_HW):
        found, wanted = features[f"feats{index + 1}"], torch.cat(expected[index])
        assert found.shape == (N_IMAGES * CHANNELS, *size)
        assert found.dtype == torch.float32
        # The file's order is that of the hashes: every map finds its own in the other set, both ways.
        distances = torch.cdist(found.flatten(1), wanted.flatten(1))
        torch.testing.assert_close(found, wanted[distances.argmin(1)], atol=1e-2, rtol=1e-3)
        torch.testing.assert_close(wanted, found[distances.argmin(0)], atol=1e-2, rtol=1e-3)


def test_extraction_replaces_no_file_of_another_domain(folder, features, tmp_path):
    shutil.copy(folder / "all" / "night.pth", tmp_path / "day.pth")
    with pytest.raises(UserError, match="holds a sample of kind 'map' of domain 'night' and would be replaced"):
        _extract(folder, tmp_path, img="day/images", depart="day")


def test_meta_says_how_the_file_was_made(features):
    meta = features["meta"]
    assert (meta["domain"], meta["num_images"], meta["num_skipped"], meta["max_samples"]) == ("night", N_IMAGES, 0, 0)
    assert meta["num_maps"] == [N_IMAGES * CHANNELS] * 3
    assert meta["provenance"]["seed"] == 0
    assert "YOLOXPAFPN" in meta["provenance"]["config"]


def test_the_sample_is_bounded_and_depends_on_the_seed_only(folder, features, tmp_path):
    one = _extract(folder, tmp_path / "a", "--max-samples", 40, "--batch_size", 4, "--seed", 3)
    two = _extract(folder, tmp_path / "b", "--max-samples", 40, "--batch_size", 1, "--seed", 3, workers=2)
    other = _extract(folder, tmp_path / "c", "--max-samples", 40, "--seed", 4)
    for key in ("feats1", "feats2", "feats3"):
        assert len(one[key]) == 40
        torch.testing.assert_close(one[key], two[key], atol=1e-3, rtol=1e-3)
        assert not torch.allclose(one[key], other[key], atol=1e-3)
        distances = (one[key][:, None] - features[key][None]).abs().amax(dim=(2, 3)).amin(dim=1)
        assert distances.max() < 1e-3  # every kept map is one of all maps


def test_a_coco_json_gives_what_its_folder_gives(folder, features, tmp_path):
    listed = _extract(folder, tmp_path, "--max-samples", 0, "--img_root", folder / "night/images",
                      img="night/annotations.json")  # fmt: skip
    torch.testing.assert_close(listed["feats2"], features["feats2"], atol=1e-3, rtol=1e-3)


def test_images_are_read_at_the_size_of_the_memory(folder, tmp_path):
    options = ["--cfg-options", "memory_img_scale=(32, 64)"]
    small = _extract(folder, tmp_path, "--max-samples", 10, *options)
    assert [tuple(small[f"feats{level}"].shape) for level in (1, 2, 3)] == [(10, 4, 8), (10, 2, 4), (10, 1, 2)]


def test_images_are_padded_to_the_memory_even_where_tested_ones_are_not(folder, tmp_path):
    text = (folder / "base.py").read_text()
    changed = text.replace("'size': (64, 96), 'pad_val'", "'size_divisor': 32, 'pad_val'")
    assert changed != text
    cfg = tmp_path / "base.py"
    cfg.write_text(changed + "memory_img_scale = (96, 96)\n")
    common = ["--config", cfg, "--checkpoint", folder / "base.pth", "--out_path", tmp_path, "--device", "cpu"]
    extract(["--depart", "night", "--img", folder / "night/images", *common, "--max-samples", 10])
    found = torch.load(tmp_path / "night.pth", weights_only=True)
    assert [tuple(found[f"feats{level}"].shape[1:]) for level in (1, 2, 3)] == [(12, 12), (6, 6), (3, 3)]


def test_unreadable_images_are_skipped_with_a_count_or_stop(folder, features, tmp_path, capsys):
    shutil.copytree(folder / "night" / "images", tmp_path / "img")
    broken = tmp_path / "img" / "000.png"
    broken.write_bytes((tmp_path / "img" / "001.png").read_bytes()[:50])
    found = _extract(folder, tmp_path, "--max-samples", 0, img=tmp_path / "img")
    torch.testing.assert_close(found["feats1"], features["feats1"], atol=1e-3, rtol=1e-3)
    assert (found["meta"]["num_images"], found["meta"]["num_skipped"]) == (N_IMAGES, 1)
    said = capsys.readouterr().err
    assert f"warning: skipped unreadable image {broken}" in said
    assert f"skipped 1 of {N_IMAGES + 1} images" in said
    with pytest.raises(UserError, match=r"image .*000\.png is missing or unreadable"):
        _extract(folder, tmp_path / "strict", "--strict", img=tmp_path / "img")
    assert not (tmp_path / "strict").exists()


def test_a_folder_of_unreadable_images_is_refused(folder, tmp_path):
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match="none of the 1 images"):
        _extract(folder, tmp_path, img=tmp_path / "img")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_images_that_differ_in_size_are_named(folder, tmp_path, batch_size, workers):
    for name, shape in (("a", (64, 96, 3)), ("b", (96, 64, 3))):
        (tmp_path / "img").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "img" / f"{name}.png"), np.zeros(shape, np.uint8))
    cfg = load_config(folder / "base.py")
    for transform in cfg.data.test.pipeline[1].transforms:
        if transform.type == "Pad":
            transform.size, transform.size_divisor = None, 32  # each image to a size of its own
    (tmp_path / "unpadded.py").write_text(cfg.pretty_text)
    options = ["--batch_size", batch_size, "--config", tmp_path / "unpadded.py"]
    with pytest.raises(UserError, match=r"b\.png .*pad to") as error:
        _extract(folder, tmp_path, *options, img=tmp_path / "img", workers=workers)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "changes", "message"),
    [
        (["--dim", 320], {}, "`dim=320` is wrong: the neck of this config has 32 channels; use `dim=32`"),
        ([], {"img": "empty"}, "no image in folder"),
        ([], {"depart": "a.b"}, "'a.b' is not usable"),
        (["--batch_size", 0], {}, "`batch_size=0`: expected 1 or more"),
        (["--max-samples", -1], {}, "-1"),
        (["--checkpoint", "none.pth"], {}, "none.pth does not exist"),
        (["--config", "none.py"], {}, "none.py does not exist"),
        (["--device", "tpu"], {}, "tpu"),
    ],
)
def test_mistakes_are_told_and_leave_the_old_file(folder, tmp_path, more, changes, message):
    (folder / "empty").mkdir(exist_ok=True)
    (tmp_path / "night.pth").write_text("old")
    with pytest.raises(UserError, match=message):
        _extract(folder, tmp_path, *more, **changes)
    assert [path.name for path in tmp_path.iterdir()] == ["night.pth"]
    assert (tmp_path / "night.pth").read_text() == "old"


def test_clustering_writes_files_that_a_memory_takes(folder, features, tmp_path, capsys):
    torch.save({key: features[key] for key in ("feats1", "feats2", "feats3")}, tmp_path / "day.pth")
    shutil.copy(folder / "all" / "night.pth", tmp_path)
    arguments = ["--fea_root_path", tmp_path, "--n_clusters", 5, "--depart", "night", "day", "--seed", 1]
    cluster([*arguments, "--device", "cpu"])
    night, day = (torch.load(tmp_path / f"{name}_cluster.pth", weights_only=True) for name in ("night", "day"))
    for level, size in enumerate(MEMORY_SIZES_HW, start=1):
        assert night[f"feats{level}"].shape == (5, *size)
        assert torch.equal(night[f"feats{level}"], day[f"feats{level}"])  # a file without meta is as good
    assert (night["meta"]["n_clusters"], night["meta"]["provenance"]["seed"]) == (5, 1)
    assert night["meta"]["features"]["num_images"] == N_IMAGES
    assert day["meta"]["features"] == {}
    assert all(np.diff(values).max() <= 1e-6 * values[0] for values in night["meta"]["inertia"])
    assert capsys.readouterr().out.splitlines() == [f"wrote {tmp_path}/{name}_cluster.pth" for name in ("night", "day")]
    cluster([*arguments, "--out_path", tmp_path / "again"])
    again = read_prototypes(tmp_path / "again" / "night_cluster.pth")
    assert all(torch.equal(found, night[f"feats{level}"]) for level, found in enumerate(again, start=1))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--n_clusters", 500], "192 channel maps can not make 500 clusters"),
        (["--n_clusters", 0], "0 clusters"),
        (["--depart", "night", "fog"], r"fog\.pth does not exist; run extract_fea_fewshot\.py --depart fog first"),
        (["--depart", "../night"], "is not usable"),
        (["--fea_root_path", "nowhere"], "nowhere/night.pth does not exist"),
    ],
)
def test_mistakes_in_clustering_are_told_and_nothing_is_written(folder, features, tmp_path, more, message):
    with pytest.raises(UserError, match=message):
        cluster(["--fea_root_path", folder / "all", "--out_path", tmp_path / "out", "--depart", "night", *more])
    assert not (tmp_path / "out").exists()


def test_features_of_another_kind_are_named_where_a_file_is_missing(tmp_path):
    for name in ("fog_colour", "fog_colour_cluster", "foggy_style"):
        (tmp_path / f"{name}.pth").touch()
    with pytest.raises(UserError, match=r"\(there is fog_colour, of another kind of prototype\)"):
        cluster(["--fea_root_path", tmp_path, "--depart", "fog"])


def test_a_truncated_and_a_malicious_feature_file_are_refused(folder, features, tmp_path):
    whole = (folder / "all" / "night.pth").read_bytes()
    (tmp_path / "night.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"night\.pth cannot be read"):
        cluster(["--fea_root_path", tmp_path, "--depart", "night", "--n_clusters", 5])
    torch.save({"feats1": json.JSONDecoder}, tmp_path / "night.pth")
    with pytest.raises(UserError, match=r"night\.pth was refused"):
        cluster(["--fea_root_path", tmp_path, "--depart", "night", "--n_clusters", 5])
    assert [path.name for path in tmp_path.iterdir()] == ["night.pth"]


def test_vectors_of_foreground_and_background_against_a_plain_loop(folder, tmp_path, monkeypatch):
    # What random weights find is no box that a loop could check.
    monkeypatch.setattr(
        "ms2a.storage.kinds.found_boxes",
        lambda model, maps, shape: [torch.tensor([[10.0, 6.0, 50.0, 42.0]])] * shape[0],
    )
    common = ["--config", folder / "base.py", "--checkpoint", folder / "base.pth", "--out_path", tmp_path]
    common += ["--device", "cpu", "--workers", 0, "--max-samples", 0, "--prototype", "vector"]
    extract(["--depart", "night", "--img", folder / "night/images", *common])
    kinds = [torch.load(tmp_path / f"night_{kind}.pth", weights_only=True) for kind in ("foreground", "background")]

    model = build_model(load_config(folder / "base.py"), folder / "base.pth")
    expected = [[], []]
    for path in sorted((folder / "night" / "images").iterdir()):
        image = torch.from_numpy(cv2.imread(str(path))).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            level = model.neck(model.backbone(image))[0][0]
        for row in range(8):
            for column in range(12):
                x, y = 8 * column + 4, 8 * row + 4
                expected[0 if 10 <= x < 50 and 6 <= y < 42 else 1].append(level[:, row, column])
    for found, wanted in zip(kinds, expected, strict=True):
        assert found["feats1"].shape == (len(wanted), CHANNELS, 1)
        distances = torch.cdist(
            found["feats1"][..., 0], torch.stack(wanted), compute_mode="donot_use_mm_for_euclid_dist"
        )
        assert distances.min(1).values.max() < 1e-2

    cluster(["--fea_root_path", tmp_path, "--n_clusters", 2, "--depart", "night_background", "--device", "cpu"])
    prototypes = read_prototypes(tmp_path / "night_background_cluster.pth")
    assert [tuple(level.shape) for level in prototypes] == [(2, CHANNELS, 1)] * 3


def test_colours_of_images_of_any_size_are_sampled_and_clustered(folder, tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255 >> (i % 2), (20 + i, 30 + 2 * i, 3), dtype=np.uint8) for i in range(6)]
    (tmp_path / "images").mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"images/{number}.png"), image)
    common = ["--config", folder / "base.py", "--checkpoint", folder / "base.pth", "--out_path", tmp_path]
    extract(["--depart", "night", "--img", tmp_path / "images", *common, "--device", "cpu", "--prototype", "colour"])
    rows = torch.load(tmp_path / "night_colour.pth", weights_only=True)["feats1"].numpy()
    expected = np.stack([colour_quantiles(image) for image in images])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, expected))

    cluster(["--fea_root_path", tmp_path, "--n_clusters", 2, "--depart", "night_colour", "--device", "cpu"])
    (prototypes,) = read_prototypes(tmp_path / "night_colour_cluster.pth")
    halves = sorted((expected[::2].mean(0), expected[1::2].mean(0)), key=np.sum)
    for found, wanted in zip(sorted(prototypes.numpy(), key=np.sum), halves, strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.1)


def test_a_detector_that_finds_nothing_has_no_foreground_vectors(folder, tmp_path):
    found = "ms2a.storage.kinds.found_boxes"
    common = ["--config", folder / "base.py", "--checkpoint", folder / "base.pth", "--out_path", tmp_path]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found, lambda model, maps, shape: [torch.zeros(0, 4)] * shape[0])
        with pytest.raises(UserError, match="nothing to sample for foreground .* in no image; use `prototype='map'`"):
            extract(["--depart", "night", "--img", folder / "night/images", *common, "--prototype", "vector"])
    assert not list(tmp_path.iterdir())
