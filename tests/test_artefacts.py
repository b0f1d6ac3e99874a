"""Files are whole or absent, load without running code, and say where they came from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ms2a.artefacts import (
    atomic_path,
    check_output,
    load_torch,
    provenance,
    read_json,
    save_torch,
    write_json,
    write_text,
)
from ms2a.errors import UserError


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("made_by_a_pickle",)


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.txt"
    write_text("former", path)
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_are_as_readable_as_others(tmp_path):
    (tmp_path / "plain").touch()
    write_text("text", tmp_path / "deep" / "text")
    assert (tmp_path / "deep" / "text").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_is_read_with_or_without_a_byte_order_mark(tmp_path):
    write_json({"a": ["ä", 1]}, tmp_path / "plain.json")
    (tmp_path / "marked.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "plain.json").read_bytes())
    assert read_json(tmp_path / "marked.json", "file") == read_json(tmp_path / "plain.json", "file") == {"a": ["ä", 1]}


@pytest.mark.parametrize("content, reason", [(None, "does not exist"), ('{"a": 1', "may be truncated")])
def test_json_that_can_not_be_read_is_named(tmp_path, content, reason):
    if content:
        (tmp_path / "file.json").write_text(content)
    with pytest.raises(UserError, match=f"thing .*file.json .*{reason}"):
        read_json(tmp_path / "file.json", "thing")


def test_tensors_survive_and_code_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_torch({"feats1": torch.arange(3.0)}, tmp_path / "tensors.pth")
    assert torch.equal(load_torch(tmp_path / "tensors.pth", "file")["feats1"], torch.arange(3.0))
    torch.save({"feats1": Malicious()}, tmp_path / "malicious.pth")
    with pytest.raises(UserError, match="was refused"):
        load_torch(tmp_path / "malicious.pth", "file")
    assert not (tmp_path / "made_by_a_pickle").exists()


def test_a_text_or_truncated_file_is_no_torch_file(tmp_path):
    save_torch({"feats1": torch.zeros(1000)}, tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:2000])
    (tmp_path / "text.pth").write_text("epoch_13.pth")
    for name in ("half.pth", "text.pth"):
        with pytest.raises(UserError, match=rf"file .*{name} (cannot be read \(\w+|was refused)"):
            load_torch(tmp_path / name, "file")


def test_provenance_is_plain_and_says_what_made_a_file(tmp_path):
    made_by = provenance("config", 3)
    assert made_by["seed"] == 3 and made_by["config"] == "config"
    assert made_by["versions"]["torch"] == torch.__version__.split("+")[0]
    save_torch(made_by, tmp_path / "provenance.pth")
    assert load_torch(tmp_path / "provenance.pth", "file") == made_by


FULL = """
import resource, signal, sys, torch
from ms2a.artefacts import save_torch, write_text
from ms2a.errors import run_main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
path, kind = sys.argv[1:]
run_main(lambda _: save_torch(torch.zeros(10**6), path) if kind == "torch" else write_text("x" * 10**6, path))
"""


@pytest.mark.parametrize("kind", ["torch", "text"])
def test_a_disk_that_takes_no_more_is_one_line_and_earlier_results_stay(tmp_path, kind):
    path = tmp_path / "a.pth"
    path.write_bytes(b"earlier")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-W", "ignore", "-c", FULL, str(path), kind]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 2 and "a.pth" in run.stderr and run.stderr.count("\n") == 1, run.stderr
    assert path.read_bytes() == b"earlier" and [file.name for file in tmp_path.iterdir()] == ["a.pth"]


def test_what_took_long_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    synced, replaced = [], []
    fsync, replace = os.fsync, Path.replace

    def note(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", lambda path, to: (replaced.append(list(synced)), replace(path, to)))
    save_torch(torch.zeros(1), tmp_path / "a.pth")
    ((temporary,),) = replaced
    assert Path(temporary).name.startswith(".a.") and synced[1:] == [str(tmp_path)]


@pytest.mark.parametrize("stem", ["n" * 250, "ä" * 120])
def test_a_long_name_is_no_obstacle(tmp_path, stem):
    write_text("x", tmp_path / f"{stem}.txt")
    assert (tmp_path / f"{stem}.txt").read_text() == "x"


def test_an_output_that_cannot_be_written_is_found_out_before(tmp_path):
    check_output(tmp_path / "new" / "a.json")
    check_output(tmp_path / "folder" / "deep", is_folder=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder is a folder, expected the name of a file"):
        check_output(tmp_path / "folder")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a.json", tmp_path / "file" / "deep" / "a.json"):
        with pytest.raises(OSError, match="file"):
            check_output(path)


def test_a_path_that_no_file_can_have_is_one_line():
    with pytest.raises(UserError, match=r"annotation file 'a\\x00b' cannot be the name of a file"):
        read_json("a\0b", "annotation file")
