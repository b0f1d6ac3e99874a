"""Set-up and the one statement of versions: what is chosen, what is refused, what the installers are called with."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import ROOT

LINES = dict(
    line.split(" ", 1)
    for line in (ROOT / "requirements/platforms.txt").read_text().splitlines()
    if not line.startswith("#")
)
PYTHONS, TORCHES, (MMCV,) = (LINES[name].split() for name in ("python", "torch", "mmcv-full"))
MINORS = sorted(int(python.split(".")[1]) for python in PYTHONS)
# A fake interpreter: answers what the script asks, makes environments of itself and writes down pip's arguments.
INTERPRETER = """#!/bin/bash
if [ "$1" = -m ]; then
  case "$2 $*" in
    venv*) folder=${@: -1}; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python"; echo "venv $folder" >> "$CALLS" ;;
    ensurepip*) touch "$(dirname "$0")/has_pip"; echo ensurepip >> "$CALLS" ;;
    pip*--version) [ -e "$(dirname "$0")/has_pip" ] || [ -z "$NO_PIP" ] ;;
    pip*)
      echo "${*:2}" >> "$CALLS"
      case "$*" in *' wheel '*) touch "$MS2A_CACHE/wheels/plain/mmcv_full-MMCV-py2.py3-none-any.whl" ;; esac ;;
  esac
  exit
fi
case "$2" in
  *version_info*) echo VERSION ;;
  *'import ensurepip'*) [ -z "$NO_VENV" ] ;;
  *'get_paths()'*) echo "$HEADERS" ;;
  *'import cv2'*) [ -z "$NO_GL" ] ;;
  *"m.version('opencv-python')"*) echo 4.12 ;;
  *"m.version('torch')"*) echo "$INSTALLED_TORCH" ;;
  *_ext*) echo "$INSTALLED_OPERATORS" ;;
  *'import torch'*) exit 0 ;;
  *'import ms2a'*) echo ready ;;
esac
"""
UV = """#!/bin/bash
echo "uv $*" >> "$CALLS"
if [ "$1" = venv ]; then mkdir -p "${@: -1}/bin"; cp "$4" "${@: -1}/bin/python"; fi
if [ "$1" = build ]; then touch "$5/mmcv_full-MMCV-py2.py3-none-any.whl"; fi
"""
# A disk with room, whatever the machine has that runs the tests.
DF = """#!/bin/bash
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
echo "/dev/disk 500000000 0 ${FREE_GB:-100}000000 0% /"
"""
TOOLS = "awk bash cat cp cut dirname head ls mkdir mktemp mv nproc rm sed sh sha256sum stdbuf tail tee touch uname"


class Machine:
    """A PATH with nothing but what a test puts there."""

    def __init__(self, folder: Path):
        self.bin, self.venv, self.cache, self.calls = (folder / name for name in ("bin", "venv", "cache", "calls"))
        self.bin.mkdir()
        for tool in TOOLS.split():
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.has("df", DF)

    def has(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("MMCV", MMCV))
        path.chmod(0o755)
        return path

    def has_python(self, name: str, version: str) -> Path:
        return self.has(name, INTERPRETER.replace("VERSION", version))

    def keeps_wheel(self, tag: str, wheel: str) -> Path:
        path = self.cache / "wheels" / tag / wheel
        path.parent.mkdir(parents=True)
        path.touch()
        return path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        places = dict(PATH=self.bin, VENV=self.venv, MS2A_CACHE=self.cache, CALLS=self.calls, HOME=self.cache)
        environment = {name: str(value) for name, value in (places | variables).items()}
        command = ["bash", str(ROOT / "tools/setup_env.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def called(self) -> str:
        return self.calls.read_text() if self.calls.exists() else ""


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_default_python_comes_first_and_installs_the_default_torch(machine):
    for name in ("python3.10", "python3.11", "python3.12"):
        machine.has_python(name, name.removeprefix("python"))
    machine.has_python("python3", "3.12")
    process = machine.run("test", "dev")
    assert process.returncode == 0, process.stderr
    assert f"with python{PYTHONS[0]} ({PYTHONS[0]})" in process.stdout
    called = machine.called()
    assert f"torch=={TORCHES[0]} torchvision==0.24.1" in called and "-e .[test,dev]" in called
    wheel = machine.cache / f"wheels/plain/mmcv_full-{MMCV}-py2.py3-none-any.whl"
    assert f" {wheel} -e" in called and "--no-deps -r requirements/style.txt" in called
    # A second set-up finds everything done, another torch does not.
    assert machine.run("test", "dev").stdout == ""
    machine.run("test", "dev", TORCH=TORCHES[-1])
    assert f"torch=={TORCHES[-1]} torchvision==0.29.1" in machine.called()
    assert machine.called().count("pip --disable-pip-version-check wheel") == 1


@pytest.mark.parametrize("version", PYTHONS)
def test_every_stated_python_will_do(machine, version):
    machine.has_python("python3", version)
    machine.has_python("python3.11", "")  # a version manager's placeholder that does not start
    process = machine.run()
    assert process.returncode == 0, process.stderr
    assert f"with python3 ({version})" in process.stdout


def test_named_python_wins(machine):
    machine.has_python("python3.11", "3.11")
    named = machine.has_python("elsewhere/python", "3.13")
    assert f"with {named} (3.13)" in machine.run(PYTHON=named).stdout


def test_a_torch_that_was_not_tested_is_said(machine):
    machine.has_python("python3", "3.12")
    process = machine.run(TORCH="2.10.0")
    assert f"TORCH=2.10.0 is none of those tested: {' '.join(TORCHES)}" in process.stdout
    assert "torch==2.10.0 torchvision==0.25.0" in machine.called()


EXPECTED = ", ".join(PYTHONS)


@pytest.mark.parametrize(
    ("pythons", "variables", "message"),
    [
        ({}, {}, f"no Python {EXPECTED} found; install one (Debian"),
        ({"python3": "3.14"}, {}, f"no Python {EXPECTED} found, python3 is 3.14; install one"),
        ({"python3.12": "3.12"}, dict(PYTHON="python3.9"), "PYTHON=python3.9 is not there"),
        ({"python3": "3.9"}, dict(PYTHON="python3"), f"PYTHON=python3 is Python 3.9, expected Python {EXPECTED}"),
        (
            {"python3": "3.12"},
            dict(NO_VENV="1"),
            "python3 has no venv module; Debian, Ubuntu: apt-get install python3.12-venv",
        ),
    ],
)
def test_refusals_name_what_was_found_and_the_remedy(machine, pythons, variables, message):
    for name, version in pythons.items():
        machine.has_python(name, version)
    process = machine.run(**variables)
    assert process.returncode == 2
    assert process.stderr.startswith("setup: ") and process.stderr.count("\n") == 1
    assert message in process.stderr
    assert machine.called() == "" and not machine.venv.exists()


def test_a_compiler_is_asked_for_only_where_one_is_needed(machine, tmp_path):
    machine.has_python("python3", "3.12")
    process = machine.run("--compiled")
    assert process.returncode == 2 and "needs a C++ compiler and 'c++' is not there" in process.stderr
    machine.has("c++", "#!/bin/sh\n")
    process = machine.run("--compiled", HEADERS=tmp_path)
    assert process.returncode == 2 and f"needs Python's headers and {tmp_path}/Python.h is not there" in process.stderr
    assert machine.called() == ""
    machine.keeps_wheel(f"py312-torch{TORCHES[0]}-{os.uname().machine}", f"mmcv_full-{MMCV}-cp312-linux.whl")
    assert machine.run("--compiled").returncode == 0


def test_a_disk_without_room_is_refused_before_the_download(machine):
    machine.has_python("python3", "3.12")
    process = machine.run(FREE_GB="1")
    assert process.returncode == 2 and process.stderr.count("\n") == 1
    assert f"setup: making {machine.venv} needs about " in process.stderr and "the disk has 1 GB left" in process.stderr
    assert machine.called() == "" and not machine.venv.exists()
    # An environment that holds torch takes little more.
    machine.has_python("../venv/bin/python", "3.12")
    assert machine.run(FREE_GB="1").returncode == 0


def test_a_kept_compiled_wheel_is_used(machine):
    machine.has_python("python3", "3.12")
    wheel = machine.keeps_wheel(f"py312-torch{TORCHES[0]}-{os.uname().machine}", f"mmcv_full-{MMCV}-cp312-linux.whl")
    assert machine.run().returncode == 0
    assert f" {wheel} -e" in machine.called() and " wheel " not in machine.called()


@pytest.mark.parametrize(("torch", "stays"), [(TORCHES[0], True), ("2.8.0", False)])
def test_installed_operators_stay_where_they_fit_torch(machine, torch, stays):
    machine.has_python("python3", "3.12")
    process = machine.run(INSTALLED_TORCH=torch, INSTALLED_OPERATORS="/somewhere/_ext.so")
    assert process.returncode == 0, process.stderr
    assert ("mmcv_full" not in machine.called()) == stays


def test_an_environment_without_pip_is_kept(machine):
    machine.has_python("python3", "3.12")
    machine.has_python("../venv/bin/python", "3.12")
    assert machine.run(NO_PIP="1").returncode == 0
    assert machine.called().startswith("ensurepip") and "venv " not in machine.called()


def test_an_environment_that_is_there_decides_the_python(machine):
    machine.has_python("python3.11", "3.11")
    machine.has_python("../venv/bin/python", "3.12")
    assert machine.run().returncode == 0
    assert "venv " not in machine.called()


@pytest.mark.parametrize(("there", "named"), [("3.11", {"PYTHON": "python3"}), ("3.14", {})])
def test_an_environment_of_another_python_is_made_anew(machine, there, named):
    machine.has_python("python3", "3.12")
    machine.has_python("../venv/bin/python", there)
    assert machine.run(**named).returncode == 0
    assert machine.called().startswith(f"venv {machine.venv}")


def test_uv_installs_where_it_is_there(machine):
    python = machine.has_python("python3", "3.12")
    machine.has("uv", UV)
    process = machine.run(NO_VENV="1")
    assert process.returncode == 0, process.stderr
    called = machine.called().splitlines()
    assert called[0] == f"uv venv -q --python {python} {machine.venv}"
    assert all(line.startswith("uv ") for line in called)
    assert any(
        f"uv pip install -q --python {machine.venv}/bin/python" in line and "-e .[test]" in line for line in called
    )


def test_without_libgl_the_headless_opencv_takes_over(machine):
    machine.has_python("python3", "3.12")
    process = machine.run(NO_GL="1")
    assert "no libGL" in process.stdout
    called = machine.called()
    assert "uninstall -q -y opencv-python\n" in called and "--no-deps opencv-python-headless==4.12\n" in called


def requirement_lines(tmp_path, *installed: str) -> list[str]:
    """What ``setup.py`` asks for where the packages are installed."""
    for name in installed:
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    code = """
import setuptools
setuptools.setup = lambda **fields: print(*fields["install_requires"], sep="\\n")
import setup
"""
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": path}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return process.stdout.splitlines()


def test_a_headless_opencv_stays(tmp_path):
    lines = requirement_lines(tmp_path, "opencv-python-headless")
    assert "opencv-python-headless>=4.8" in lines and "opencv-python>=4.8" not in lines


def test_opencv_python_is_the_named_package():
    assert "opencv-python>=4.8" in (ROOT / "requirements/runtime.txt").read_text().splitlines()


def test_versions_are_stated_once():
    """README, docs and pip's files say what requirements/platforms.txt says."""
    readme = (ROOT / "README.md").read_text()
    span = f"Python 3.{MINORS[0]} to 3.{MINORS[-1]}"
    assert span in readme and f"torch {TORCHES[0]}" in readme and TORCHES[-1] in readme
    platforms = (ROOT / "docs/platforms.md").read_text()
    assert all(text in platforms for text in (*PYTHONS, *TORCHES, MMCV, span))
    newest = [int(part) for part in TORCHES[-1].split(".")]
    torch = (ROOT / "requirements/torch.txt").read_text()
    assert f"\ntorch>={TORCHES[0]},<{newest[0]}.{newest[1] + 1}\n" in torch
    ruff = (ROOT / "pyproject.toml").read_text()
    assert f'target-version = "py3{MINORS[0]}"' in ruff


def test_numpy_has_no_ceiling():
    numpy = re.search(r"^numpy(.*)$", (ROOT / "requirements/runtime.txt").read_text(), re.M).group(1)
    assert "<" not in numpy and "==" not in numpy


spec = importlib.util.spec_from_file_location("mmcv_backend", ROOT / "requirements/mmcv/backend.py")
backend = importlib.util.module_from_spec(spec)
spec.loader.exec_module(backend)


def old_setup_script() -> str:
    """The places of mmcv's setup.py that are mended, in their order."""
    first, execute, give, opencv, name, standard = (old for old, _ in backend.MENDS)
    standard = standard.replace(
        "            else:", "            if False:\n                pass\n            else:", 1
    )
    return f"""{first}
import os
def get_version():
    version_file = 'version.py'
    with open(version_file) as f:
        {execute}
    {give}
install_requires, main, secondary = [], 'opencv-python-headless>=3', 'opencv-python>=3'
{opencv}
extra_compile_args = {{'cxx': []}}
if True:
        if os.name != 'nt':
{standard}
            pass
print({name}, get_version(), install_requires, extra_compile_args, parse_version('2.10') > parse_version('2.9'))
"""


def test_mmcvs_setup_script_is_mended(tmp_path):
    (tmp_path / "version.py").write_text("__version__ = '1.7.2'\n")
    (tmp_path / "pkg_resources.py").write_text("raise ImportError('setuptools has no pkg_resources')\n")
    (tmp_path / "setup.py").write_text(backend.mended(old_setup_script()))
    environment = os.environ | {"MMCV_WITH_OPS": "0"}
    command = [sys.executable, "setup.py"]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.stdout == "mmcv-full 1.7.2 [] {'cxx': []} True\n", process.stderr


def test_another_setup_script_is_refused():
    with pytest.raises(ValueError, match="has 0 times .* expected once"):
        backend.mended("from setuptools import setup\n")


def test_the_build_has_flags_with_optimisation_and_sees_no_gpu(tmp_path, monkeypatch):
    monkeypatch.delenv("MMCV_WITH_OPS", raising=False)
    assert backend.build_environment(tmp_path) == {"MMCV_WITH_OPS": "0"}
    monkeypatch.setenv("MMCV_WITH_OPS", "1")
    monkeypatch.setenv("CFLAGS", "-march=native")
    found = backend.build_environment(tmp_path)
    assert found["CFLAGS"] == "-O2 -DNDEBUG -g0 -march=native" and found["CXXFLAGS"].startswith("-O2 -DNDEBUG -g0")
    assert found["CUDA_VISIBLE_DEVICES"] == ""


def test_the_header_is_compiled_once_with_the_sources_flags(tmp_path):
    """A compiler that writes down its arguments is called for two files and for linking."""
    log = tmp_path / "log"
    fake = tmp_path / "fake"
    fake.write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
    fake.chmod(0o755)
    environment = os.environ | {"MS2A_CXX": str(fake), "MS2A_HEADERS": str(tmp_path)}
    for arguments in (
        ["-MMD", "-MF", "a.d", "-O2", "-c", "a.cpp", "-o", "a.o", "-DX"],
        ["-c", "b.cpp"],
        ["-shared", "a.o"],
    ):
        command = [sys.executable, str(ROOT / "requirements/mmcv/compiler.py"), *arguments]
        subprocess.run(command, env=environment, check=True)
    header = f"-O2 -DX -x c++-header {tmp_path}/torch/types.h -o {tmp_path}/torch/types.h.gch"
    include = f"-I{tmp_path}"
    first = f"{include} -MMD -MF a.d -O2 -c a.cpp -o a.o -DX"
    assert log.read_text().splitlines() == [header, first, f"{include} -c b.cpp", "-shared a.o"]
