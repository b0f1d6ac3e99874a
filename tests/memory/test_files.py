import os

import numpy as np
import pytest
import torch

from ms2a.artefacts import atomic_path
from ms2a.errors import UserError
from ms2a.memory.domains import check_domain_name
from ms2a.memory.files import features_path, prototypes_path, read_features, read_prototypes, write_maps
from ms2a.memory.sampling import row_weights

SIZES = ((8, 12), (4, 6), (2, 3))


def _maps(count=5):
    return [torch.rand(count, *size) for size in SIZES]


def test_round_trip_keeps_values_keys_and_meta(tmp_path):
    maps, path = _maps(), tmp_path / "new" / "fog_cluster.pth"
    write_maps(path, maps, {"seed": 3, "domain": "fog"})
    content = torch.load(path, weights_only=True)
    assert sorted(content) == ["feats1", "feats2", "feats3", "meta"]
    assert all(torch.equal(content[f"feats{level}"], value) for level, value in enumerate(maps, start=1))
    assert all(torch.equal(*pair) for pair in zip(read_prototypes(path), maps, strict=True))
    assert read_features(path)[1] == {"seed": 3, "domain": "fog"}


def test_features_stay_in_the_file_while_they_are_checked_and_weighted(tmp_path):
    rows, block = torch.rand(20_000, 8, 8), 4096 * 8 * 8 * 4
    write_maps(tmp_path / "fog.pth", [rows], {})
    with torch.profiler.profile(profile_memory=True) as record:
        (found,), _ = read_features(tmp_path / "fog.pth")
        weights = row_weights(found, 0.1)
    # All rows are five blocks. What is no operator is the mapped file itself.
    assert max(event.cpu_memory_usage for event in record.events() if event.name.startswith("aten::")) < 2 * block
    torch.testing.assert_close(weights, (10 / rows.flatten(1).norm(dim=1)).clamp(min=1))


@pytest.mark.parametrize("kind", ["tensor", "half", "numpy", "list", "parameter"])
def test_older_files_without_meta_of_images_by_channels_are_read(tmp_path, kind):
    images = [torch.rand(2, 3, *size).half().float() for size in SIZES]
    convert = dict(tensor=lambda x: x, half=lambda x: x.half(), numpy=lambda x: x.numpy(), list=list)
    convert["parameter"] = torch.nn.Parameter
    path = tmp_path / "old.pth"
    torch.save({f"feats{level}": convert[kind](value) for level, value in enumerate(images, start=1)}, path)
    rows, meta = read_features(path)
    assert meta == {}
    for found, value in zip(rows, images, strict=True):
        assert found.dtype == torch.float32
        assert not found.requires_grad
        assert torch.equal(found, value.reshape(6, *value.shape[2:]))


class _Malice:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    path, witness = tmp_path / "evil.pth", tmp_path / "witness"
    torch.save({"feats1": _Malice(witness)}, path)
    for read in (read_features, read_prototypes):
        with pytest.raises(UserError, match=r"evil\.pth was refused"):
            read(path)
    assert not witness.exists()


def test_numpy_objects_can_not_smuggle_code(tmp_path):
    path, witness = tmp_path / "evil.pth", tmp_path / "witness"
    torch.save({"feats1": np.array([_Malice(witness)], dtype=object)}, path)
    with pytest.raises(UserError, match="refused"):
        read_prototypes(path)
    assert not witness.exists()


def test_missing_and_truncated_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"memory file .*none\.pth does not exist"):
        read_prototypes(tmp_path / "none.pth")
    whole = tmp_path / "whole.pth"
    write_maps(whole, _maps(), {})
    for length in (0, 10, whole.stat().st_size // 2, whole.stat().st_size - 30):
        (tmp_path / "part.pth").write_bytes(whole.read_bytes()[:length])
        with pytest.raises(UserError, match=r"part\.pth"):
            read_prototypes(tmp_path / "part.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a list, expected feats1"),
        ({"state_dict": {}}, r"the keys \['state_dict'\], expected feats1"),
        ({"feats1": torch.rand(2, 3, 3), "feats3": torch.rand(2, 3, 3)}, "expected feats1, feats2, feats3"),
        ({"feats1": torch.rand(2, 3)}, r"feats1 .* is torch.float32 \(2, 3\), expected"),
        ({"feats1": torch.ones(2, 3, 3, dtype=torch.int64)}, "torch.int64"),
        ({"feats1": torch.rand(0, 3, 3)}, r"\(0, 3, 3\)"),
        ({"feats1": "text"}, "is str"),
        ({"feats1": torch.full((1, 2, 2), torch.inf)}, "not finite"),
        ({"feats1": torch.rand(4, 2, 2), "feats2": torch.rand(5, 2, 2)}, r"different K, \[4, 5\]"),
        ({"feats1": torch.rand(4, 3, 2, 2)}, r"expected non-empty floating-point maps \(rows, height, width\)$"),
    ],
)
def test_wrong_content_is_one_clear_error(tmp_path, content, message):
    torch.save(content, tmp_path / "wrong.pth")
    with pytest.raises(UserError, match=message):
        read_prototypes(tmp_path / "wrong.pth")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "fog.pth"
    write_maps(path, _maps(), {})
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    with pytest.raises((AttributeError, TypeError)):
        write_maps(path, _maps(), {"meta": lambda: None})  # pickling stops midway
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["fog.pth"]


def test_paths_and_domain_names():
    assert str(features_path("work", "fog-1")) == os.path.join("work", "fog-1.pth")
    assert str(prototypes_path("work", "fog_1")) == os.path.join("work", "fog_1_cluster.pth")
    for name in ("", "a b", "../a", "a.b", "ä", None, "a\n"):
        with pytest.raises(UserError, match="letters, digits"):
            check_domain_name(name)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_of_a_file_make_up_the_whole(tmp_path, count):
    maps = _maps(5)
    write_maps(tmp_path / "fog.pth", maps, {})
    shares = [read_features(tmp_path / "fog.pth", (number, count))[0] for number in range(count)]
    for level, expected in enumerate(maps):
        assert torch.equal(torch.cat([share[level] for share in shares]), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(meta=[1]), "its 'meta' is a list"),
        (dict(meta="x"), "its 'meta' is a str"),
        (dict(meta=dict(cluster_sizes=3)), "meta.cluster_sizes is 3; cluster again"),
        (dict(meta=dict(cluster_sizes=[[1]])), r"meta.cluster_sizes is \[\[1\]\]"),
        (dict(meta=dict(cluster_sizes=[["x"] * 5] * 3)), "meta.cluster_sizes is"),
        (dict(feats2=[torch.zeros(2, 3), torch.zeros(1, 3)]), "feats2 of memory file .* of different shapes"),
        (dict(feats1=torch.zeros(5, 2, 3).to_sparse()), "expected non-empty floating-point maps"),
        (dict(feats1=torch.zeros(5, 2, 3, dtype=torch.complex64)), "expected non-empty floating-point maps"),
    ],
)
def test_files_of_odd_structure_are_one_line(tmp_path, change, message):
    levels = {f"feats{number}": value for number, value in enumerate(_maps(5), start=1)}
    torch.save(levels | change, tmp_path / "a.pth")
    with pytest.raises(UserError, match=f"a.pth.*{message}|{message}") as error:
        read_prototypes(tmp_path / "a.pth")
    assert "\n" not in str(error.value)
