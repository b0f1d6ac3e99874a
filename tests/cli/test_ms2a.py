"""The command ``ms2a``: its list of commands, quick starts, the scripts in front of it, and life in a wheel."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ms2a.cli import COMMANDS, dispatch
from ms2a.cli import pipeline as pipeline_command
from ms2a.config import CONFIGS, load_config
from ms2a.errors import UserError
from tests.tiny import ROOT, make_coco, make_task, tool

FRONTS = sorted(
    [ROOT / "extract_fea_fewshot.py", ROOT / "knn_cuda.py", *(ROOT / "tools").rglob("*.py")], key=lambda path: path.name
)
FRONTS.remove(ROOT / "tools" / "launch.py")  # which stands before the scripts, not before the package
HEAVY = ("torch", "mmcv", "mmdet", "cv2", "numpy", "faiss", "matplotlib", "scipy")
# Runs a script or module with --help and tells which of some modules it has imported.
HELP = """
import runpy, sys
run, name, heavy = sys.argv[1:4]
sys.argv = [name, *sys.argv[4:], "--help"]
try:
    runpy.run_module(name, run_name="__main__") if run == "-m" else runpy.run_path(name, run_name="__main__")
except SystemExit as left:
    assert left.code == 0
else:
    raise AssertionError("nothing was printed")
print("imported:", *(name for name in heavy.split() if name in sys.modules))
"""


def python(*arguments, cwd=ROOT, **environment):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ | environment)


def cpu_seconds(*arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = python(*arguments)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_lists_every_command_with_its_line(capsys):
    with pytest.raises(SystemExit) as left:
        dispatch(["--help"])
    assert left.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    listed = lines[lines.index("commands:") + 1 :]
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert all(len(line.split()) > 3 for line in listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command):
    done = python("-c", HELP, "-m", "ms2a.cli", " ".join(HEAVY), command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: ms2a {command} ")
    assert done.stdout.splitlines()[-1] == "imported:"


@pytest.mark.parametrize("front", FRONTS, ids=lambda path: path.stem)
def test_a_script_has_the_options_of_its_command_and_starts_as_quickly(front):
    done = python("-c", HELP, "script", front, " ".join(HEAVY))
    assert done.returncode == 0, done.stderr
    *usage, imported = done.stdout.splitlines()
    assert imported == "imported:"
    named = front.read_text().split("``")[1].split()[1:]
    own = python("-m", "ms2a.cli", *named, "--help").stdout.splitlines()
    # The usage lines break where the name of the program ends.
    start = usage.index(""), own.index("")
    assert usage[start[0] :] == own[start[1] :]


def test_starts_take_a_fraction_of_torch():
    """All in one go on one machine; the least of three of each, for others may be at work."""
    torch = min(cpu_seconds("-c", "import torch") for _ in range(3))
    assert min(cpu_seconds("-c", "import ms2a") for _ in range(3)) < 1.5 * torch
    assert min(cpu_seconds("tools/test.py", "--help") for _ in range(3)) < min(1, torch)


@pytest.mark.parametrize("words", [[], ["trian"], ["train"], ["convert", "nothing"]])
def test_words_that_are_no_command_end_with_status_2(words, capsys):
    with pytest.raises(SystemExit) as left:
        dispatch(words)
    assert left.value.code == 2
    assert "usage: ms2a" in capsys.readouterr().err


def test_a_mistake_is_one_line_and_a_command_runs_as_its_script_does(tmp_path):
    annotations = make_coco(tmp_path / "data", n_images=5)
    options = [annotations, "--counts", "2", "--seed", "3", "--name", "t"]
    dispatch(["split", *map(str, options), "--out", str(tmp_path / "one")])
    tool("tools/make_fewshot_split.py")([*options, "--out", tmp_path / "other"])
    assert (tmp_path / "one" / "t_2.json").read_text() == (tmp_path / "other" / "t_2.json").read_text()
    done = python("-m", "ms2a.cli", "split", annotations, "--counts", "9", "--out", tmp_path / "none")
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("error: 9 annotated images asked for")
    assert "Traceback" not in done.stderr


def test_cfg_options_that_are_none_are_refused_by_the_parser(capsys):
    with pytest.raises(SystemExit) as left:
        dispatch(["train", "config.py", "--cfg-options", "lr"])
    assert left.value.code == 2 and "--cfg-options lr: expected KEY=VALUE words" in capsys.readouterr().err


def test_configs_lists_by_words_and_copies_what_builds(tmp_path, capsys):
    dispatch(["configs", "T1", "30"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"in {CONFIGS}:" and len(lines) == 3
    name = "yolox/yolox_fs_n_128x320_indus_synth_t1_30_pretrain_mom_ft.py"
    assert lines[1].startswith(f"  {name}  ") and lines[1].endswith("with 30 annotated images.")
    dispatch(["configs"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert listed == [str(path.relative_to(CONFIGS)) for path in sorted(CONFIGS.glob("[!_]*/*.py"))]
    with pytest.raises(UserError, match="none of the .* configs in .* has nowhere in its path"):
        dispatch(["configs", "nowhere"])
    dispatch(["configs", "--copy", str(tmp_path / "mine")])
    base = "yolox/yolox_fs_n_custom_base.py"
    assert load_config(tmp_path / "mine" / base).model == load_config(CONFIGS / base).model
    with pytest.raises(UserError, match="--copy .*mine exists; name a new folder"):
        dispatch(["configs", "--copy", str(tmp_path / "mine")])


def test_demo_runs_the_pipeline_on_the_generated_data(monkeypatch):
    seen = []
    monkeypatch.setattr(pipeline_command, "run", seen.append)
    dispatch(["demo", "--seed", "4"])
    (args,) = seen
    assert (args.work_dir, args.seed) == (Path("work_dirs/demo"), 4)
    assert load_config(args.config_or_task).target_domain == "indus_synth_t1"


def test_importing_the_package_registers_only_where_mmdet_is_there():
    """Old configs name ``ms2a`` in custom_imports: mmdet's own tools have imported mmdet by then."""
    look = "from mmdet.models import DETECTORS; print('MS2AYOLOX' in DETECTORS)"
    assert python("-c", f"import mmdet; import ms2a; {look}").stdout.strip() == "True"
    code = f"import ms2a; {look}; import ms2a.plugin; {look}; print(ms2a.Detector.__name__, ms2a.run_pipeline.__name__)"
    done = python("-c", f"{code}; ms2a.Detektor")
    assert done.stdout.split() == ["False", "True", "Detector", "run_pipeline"]
    assert "module 'ms2a' has no attribute 'Detektor'" in done.stderr


@pytest.mark.slow
def test_a_wheel_works_without_the_source_tree(tmp_path):
    """Built, installed beside nothing else, and run from another folder: configs, data, both stages, the detector."""
    source = tmp_path / "source"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = ["-m", "pip", "--disable-pip-version-check"]
    built = python(*pip, "wheel", source, "--no-deps", "--no-build-isolation", "-w", tmp_path, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("ms2a-*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    installed = python(*pip, "install", wheel, "--no-deps", "--target", site, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    shutil.rmtree(source)
    elsewhere.mkdir()

    def ms2a(*arguments):
        done = python("-m", "ms2a.cli", *arguments, cwd=elsewhere, PYTHONPATH=str(site))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    assert "ms2a" in python("bin/ms2a", "--version", cwd=site, PYTHONPATH=str(site)).stdout
    listed = ms2a("configs")
    assert listed.startswith(f"in {site}/ms2a/configs:")
    assert len(listed.splitlines()) == 1 + len(list(CONFIGS.glob("[!_]*/*.py")))
    sizes = ["--train", 4, "--val", 2, "--pool", 4, "--unlabelled", 3, "--test", 2, "--shots", 1, "--split-seeds", 1]
    ms2a("render", *sizes)
    assert (elsewhere / "data" / "indus_synth" / "s" / "train.json").exists()
    make_task(elsewhere, name="my_factory", epochs=dict(base=6, source_training=4, target_training=5))
    ms2a("pipeline", "task.yaml", "--device", "cpu", "--cfg-options", "num_prototypes=4")
    work = elsewhere / "work_dirs" / "my_factory"
    assert (work / "summary.json").exists() and len(list((work / "drawn").rglob("*.png"))) == 8
    code = "import ms2a; d = ms2a.Detector(*'{0}/configs/target_training.py {0}/target_training/latest.pth'.split()); "
    code += "print(ms2a.__file__, d('b/images/001.png', score_thr=0).domain)"
    done = python("-c", code.format(work), cwd=elsewhere, PYTHONPATH=str(site))
    assert done.stdout.split()[-2:] == [f"{site}/ms2a/__init__.py", "line_b"], done.stderr
