"""Stage I interrupted, and in several processes: the same files as in one go and in one process."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory.files import read_features, read_prototypes
from ms2a.memory.sampling import row_weights
from tests.tiny import ROOT, make_checkpoint, make_config, make_domains, tool

extract = tool("extract_fea_fewshot.py")
cluster = tool("knn_cuda.py")
LEVELS = ("feats1", "feats2", "feats3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_domains(tmp_path_factory.mktemp("stage1"), n_images=11)
    make_checkpoint(folder / "base.pth", make_config(folder / "base.py", folder))
    return folder


def _arguments(folder, out, *more, img="night/images"):
    common = ["--depart", "night", "--img", folder / img, "--config", folder / "base.py", "--checkpoint"]
    common += [folder / "base.pth", "--out_path", out, "--device", "cpu", "--workers", 0, "--batch_size", 2]
    return [str(word) for word in [*common, "--max-samples", 60, *more]]


def _load(out):
    return torch.load(out / "night.pth", weights_only=True)


def _environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _torchrun(count, script, arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    command += [str(ROOT / script), *map(str, arguments), "--launcher", "pytorch"]
    return subprocess.run(command, env=_environment(), capture_output=True, text=True, cwd=ROOT)


@pytest.fixture
def whole(folder, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes below
    extract(_arguments(folder, tmp_path / "whole"))
    yield _load(tmp_path / "whole")
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("by", ["norm", "uniform"])
def test_several_processes_extract_the_sample_of_one(folder, tmp_path, whole, count, by):
    if by == "uniform":  # not the default, which `whole` is
        extract(_arguments(folder, tmp_path / "whole", "--sample-by", by))
        whole = _load(tmp_path / "whole")
    result = _torchrun(count, "extract_fea_fewshot.py", _arguments(folder, tmp_path / "out", "--sample-by", by))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("wrote") == 1
    found = _load(tmp_path / "out")
    assert all(torch.equal(found[level], whole[level]) for level in LEVELS)
    assert {key: found["meta"][key] for key in ("num_images", "num_maps", "thresholds")} == {
        key: whole["meta"][key] for key in ("num_images", "num_maps", "thresholds")
    }
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["night.pth"]


@pytest.mark.slow
def test_processes_without_an_image_and_unreadable_images(folder, tmp_path):
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "000.png").write_bytes(b"no image")
    shutil.copy(folder / "night/images/001.png", tmp_path / "img")
    arguments = _arguments(folder, tmp_path / "out", "--batch_size", 1, img=tmp_path / "img")
    result = _torchrun(3, "extract_fea_fewshot.py", arguments)
    assert result.returncode == 0, result.stderr
    found = _load(tmp_path / "out")
    assert (found["meta"]["num_images"], found["meta"]["num_skipped"]) == (1, 1)
    assert len(found["feats1"]) == 32


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_cluster_as_one(tmp_path, count):
    generator = torch.Generator().manual_seed(0)
    blobs = torch.randn(12, 1, 4, 6, generator=generator) * 3
    rows = (blobs + torch.randn(12, 101, 4, 6, generator=generator)).flatten(0, 1)
    rows = rows[torch.randperm(len(rows), generator=generator)]
    # Few far rows: clusters that lose all their rows must find the same new ones.
    rows[:7] += 50
    meta = dict(sample_by="norm", thresholds=[0.02, None, 0.04])
    torch.save(dict(feats1=rows, feats2=rows[:500], feats3=rows[:300, :2], meta=meta), tmp_path / "night.pth")
    arguments = ["--fea_root_path", tmp_path, "--n_clusters", 20, "--depart", "night", "--device", "cpu"]
    arguments += ["--n-iter", 10]
    cluster([*arguments, "--out_path", tmp_path / "one"])
    result = _torchrun(count, "knn_cuda.py", [*arguments, "--out_path", tmp_path / "several"])
    assert result.returncode == 0, result.stderr
    one, several = (torch.load(tmp_path / name / "night_cluster.pth") for name in ("one", "several"))
    for level in LEVELS:
        torch.testing.assert_close(several[level], one[level], rtol=1e-4, atol=1e-4)
    assert several["meta"]["cluster_sizes"] == one["meta"]["cluster_sizes"]
    assert several["meta"]["num_rows"] == one["meta"]["num_rows"] == [1212, 500, 300]
    for found, expected in zip(several["meta"]["inertia"], one["meta"]["inertia"], strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_killed_run_goes_on_and_gives_what_a_whole_one_gives(folder, tmp_path, whole):
    shutil.copytree(folder / "night/images", tmp_path / "img")
    last = sorted((tmp_path / "img").iterdir())[-1]
    real = last.read_bytes()
    last.unlink()
    os.mkfifo(last)  # whoever reads it waits for ever
    out = tmp_path / "out"
    arguments = _arguments(folder, out, "--save-interval", 0, img=tmp_path / "img")
    command = [sys.executable, str(ROOT / "extract_fea_fewshot.py"), *arguments]
    process = subprocess.Popen(command, env=_environment(), cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob(".night.map.0of1.partial.pth")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {path.name for path in out.iterdir()} <= {".night.map.0of1.partial.pth", ".night.map.ms2a.lock"}
    (out / "..night.map.0of1.partial.killed.pth").write_bytes(b"half a file")

    last.unlink()
    last.write_bytes(real)
    resumed = subprocess.run(command, env=_environment(), cwd=ROOT, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after" in resumed.stdout
    found = _load(out)
    assert all(torch.equal(found[level], whole[level]) for level in LEVELS)
    assert (found["meta"]["num_maps"], found["meta"]["num_images"]) == ([11 * 32] * 3, 11)
    assert [path.name for path in out.iterdir()] == ["night.pth"]


def _interrupt(folder, out, img, *more):
    """A run that stops at its last image, with its state saved."""
    with pytest.raises(UserError, match=r"unreadable \(`strict=True`\)"):
        extract(_arguments(folder, out, "--strict", "--save-interval", 0, *more, img=img))
    return out / ".night.map.0of1.partial.pth"


@pytest.fixture
def broken_images(folder, tmp_path):
    shutil.copytree(folder / "night/images", tmp_path / "img")
    sorted((tmp_path / "img").iterdir())[-1].write_bytes(b"no image")
    return tmp_path / "img"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--seed", 5], "another options"),
        (["--cfg-options", "memory_img_scale=(32,64)"], "another config"),
        (["--checkpoint", "touched"], "another checkpoint"),
    ],
)
def test_the_state_of_another_run_is_not_used(folder, tmp_path, broken_images, capsys, more, told):
    partial = _interrupt(folder, tmp_path / "out", broken_images)
    assert partial.is_file()
    if "touched" in more:
        shutil.copy(folder / "base.pth", tmp_path / "other.pth")
        more = ["--checkpoint", tmp_path / "other.pth"]
    extract(_arguments(folder, tmp_path / "out", *more, img=broken_images))
    printed = capsys.readouterr()
    assert f"{told}; starting anew" in printed.err
    assert "going on" not in printed.out
    extract(_arguments(folder, tmp_path / "clean", *more, img=broken_images))
    assert torch.equal(_load(tmp_path / "out")["feats1"], _load(tmp_path / "clean")["feats1"])


def test_the_state_of_another_folder_is_not_used(folder, tmp_path, broken_images, capsys):
    other = tmp_path / "other"
    shutil.copytree(broken_images, other)
    shutil.copy(other / "001.png", other / "002.png")
    names = folder / "night/annotations.json"
    _interrupt(folder, tmp_path / "out", names, "--img_root", broken_images)
    extract(_arguments(folder, tmp_path / "out", "--img_root", other, img=names))
    assert "another images; starting anew" in capsys.readouterr().err
    extract(_arguments(folder, tmp_path / "clean", "--img_root", other, img=names))
    assert torch.equal(_load(tmp_path / "out")["feats1"], _load(tmp_path / "clean")["feats1"])


def test_strict_does_not_go_on_where_images_were_skipped(folder, tmp_path, broken_images, capsys, monkeypatch):
    (broken_images / "001.png").write_bytes(b"no image")
    arguments = _arguments(folder, tmp_path / "out", "--save-interval", 0, img=broken_images)
    with monkeypatch.context() as context:
        context.setattr("ms2a.storage.resume.Partial.remove", lambda self: None)  # as if killed at the very end
        extract(arguments)
    with pytest.raises(UserError, match=r"unreadable \(`strict=True`\)"):
        extract([*arguments, "--strict"])
    assert "skipped 1 unreadable images, a strict one starts anew" in capsys.readouterr().err


def test_the_state_of_another_number_of_processes_is_told_and_removed(folder, tmp_path, broken_images, capsys):
    partial = _interrupt(folder, tmp_path / "out", broken_images)
    partial.rename(partial.with_name(".night.map.1of2.partial.pth"))
    extract(_arguments(folder, tmp_path / "out", img=broken_images))
    assert "1of2.partial.pth is of a run with another number of processes" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["night.pth"]


@pytest.mark.slow
def test_processes_end_without_a_traceback_where_nothing_can_be_read(folder, tmp_path):
    (tmp_path / "img").mkdir()
    for number in range(4):
        (tmp_path / "img" / f"{number}.png").write_bytes(b"no image")
    arguments = _arguments(folder, tmp_path / "out", img=tmp_path / "img")
    arguments = arguments[: arguments.index("--device")] + arguments[arguments.index("--device") + 2 :]
    command = [str(ROOT / "tools/dist_extract.sh"), "2", *arguments]
    environment = {**_environment(), "PYTHON": sys.executable}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2
    assert "error: none of the 4 images" in result.stderr and "Traceback" not in result.stderr


def test_a_damaged_state_is_told_and_not_used(folder, tmp_path, broken_images, capsys):
    partial = _interrupt(folder, tmp_path / "out", broken_images)
    partial.write_bytes(partial.read_bytes()[:100])
    extract(_arguments(folder, tmp_path / "out", img=broken_images))
    assert "starting anew" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["night.pth"]


def test_a_sample_by_norm_clusters_into_files_that_a_memory_takes(folder, tmp_path):
    extract(_arguments(folder, tmp_path, "--sample-by", "norm"))
    cluster(["--fea_root_path", tmp_path, "--n_clusters", 5, "--depart", "night", "--device", "cpu"])
    sizes = torch.load(tmp_path / "night_cluster.pth")["meta"]["cluster_sizes"]
    rows, meta = read_features(tmp_path / "night.pth")
    for level, maps, threshold in zip(sizes, rows, meta["thresholds"], strict=True):
        assert sum(level) > 60  # a kept map stands for several
        assert sum(level) == pytest.approx(float(row_weights(maps, threshold).sum()), abs=5, rel=1e-4)
    assert [len(level) for level in read_prototypes(tmp_path / "night_cluster.pth")] == [5, 5, 5]


def test_a_negative_save_interval_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="`save_interval=-1.0`: expected 0 or more"):
        extract(_arguments(folder, tmp_path, "--save-interval", -1))


def test_a_slurm_job_extracts(folder, tmp_path, whole):
    """A job of one process; srun and its environment are made up."""
    (tmp_path / "bin").mkdir()
    srun = tmp_path / "bin" / "srun"
    srun.write_text(
        f'#!/usr/bin/env bash\necho "$@" > {tmp_path}/asked\n'
        'while [[ $1 == -* ]]; do [ "$1" = -p ] && shift; shift; done\n'
        'export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1 MASTER_ADDR=127.0.0.1\nexec "$@"\n'
    )
    srun.chmod(0o755)
    environment = {
        **_environment(),
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "GPUS": "1",
    }
    command = [str(ROOT / "tools/slurm_extract.sh"), "debug", "job", *_arguments(folder, tmp_path / "out")]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "-p debug --job-name=job --gres=gpu:1 --ntasks=1 --ntasks-per-node=1" in (tmp_path / "asked").read_text()
    assert torch.equal(_load(tmp_path / "out")["feats1"], whole["feats1"])
    result = subprocess.run(command[:2], env=environment, capture_output=True, text=True)
    assert result.returncode == 2 and "usage: " in result.stderr
