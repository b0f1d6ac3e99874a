"""Builds mmcv-full from its own source for pip and uv, without operators; with them where ``MMCV_WITH_OPS=1``.

mmcv-full is frozen at its last 1.x release, of which PyPI has the source only, and its setup.py has grown old: MENDS
says how. Without operators the wheel is mmcv's Python part, and ``ms2a/mmcv_ext.py`` in the operators'
place gives it the two that MS2A needs, whichever of mmdet and ms2a is imported first.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MENDS = (
    # setuptools 82 has no pkg_resources any more.
    (
        "from pkg_resources import DistributionNotFound, get_distribution, parse_version",
        "from importlib.metadata import PackageNotFoundError as DistributionNotFound\n"
        "from importlib.metadata import distribution as get_distribution\n"
        "from packaging.version import parse as parse_version",
    ),
    # From Python 3.13 on locals() does not have what exec() defined.
    ("exec(compile(f.read(), version_file, 'exec'))", "exec(compile(f.read(), version_file, 'exec'), globals())"),
    ("return locals()['__version__']", "return __version__"),
    # Built where cv2 cannot be imported it would ask for opencv-python, over a headless one too. MS2A names OpenCV.
    ("install_requires.append(choose_requirement(main, secondary))", "pass"),
    # The name would be "mmcv" without operators, and pip would refuse it.
    ("'mmcv' if os.getenv('MMCV_WITH_OPS', '1') == '0' else 'mmcv-full'", "'mmcv-full'"),
    # torch adds the standard that its headers need, C++20 from 2.14 on, unless a flag names another one.
    ("            else:\n                extra_compile_args['cxx'] = ['-std=c++17']\n        else:", "        else:"),
)
CALLER = ("PEP517_", "_PYPROJECT_HOOKS_")
# pip asks setup.py for the package's name even when it only downloads; this answers in setuptools' place.
ANSWER = """
import os, types
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.makedirs(os.path.join(folder, "mmcv_full.dist-info"))
    with open(os.path.join(folder, "mmcv_full.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: mmcv-full\\nVersion: {version}\\n")
    return "mmcv_full.dist-info"
__legacy__ = types.SimpleNamespace(prepare_metadata_for_build_wheel=prepare_metadata_for_build_wheel)
"""


def build_wheel(
    wheel_directory: str, config_settings: dict | None = None, metadata_directory: str | None = None
) -> str:
    """Downloads, mends and builds mmcv-full.

    Args:
        wheel_directory: where the wheel is written.
        config_settings: ignored.
        metadata_directory: ignored.

    Returns:
        The wheel's file name.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = download(Path(folder), version())
        script = source / "setup.py"
        script.write_text(mended(script.read_text(encoding="utf-8")), encoding="utf-8")
        if os.environ.get("MMCV_WITH_OPS") != "1":
            shutil.copy(HERE.parents[1] / "ms2a/mmcv_ext.py", source / "mmcv/_ext.py")
        # Shows the compiler's progress where pip or uv shows what a build prints.
        command = [sys.executable, "setup.py", "bdist_wheel", "--dist-dir", str(Path(folder, "wheel"))]
        subprocess.run(command, cwd=source, env=os.environ | build_environment(Path(folder)), check=True)
        (wheel,) = Path(folder, "wheel").glob("*.whl")
        Path(wheel_directory, wheel.name).write_bytes(wheel.read_bytes())
        return wheel.name


def version() -> str:
    """The release that requirements/platforms.txt names."""
    lines = (HERE.parent / "platforms.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("mmcv-full "))


def download(folder: Path, release: str) -> Path:
    """Downloads the source with pip, as pip is configured, and unpacks it; returns its folder."""
    (folder / "setuptools").mkdir()
    (folder / "setuptools/__init__.py").touch()
    (folder / "setuptools/build_meta.py").write_text(ANSWER.format(version=release))
    # The pip that called this tells its backend by these variables; a pip inside must not take them for its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(CALLER)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    options = ["--no-binary", "mmcv-full", "--no-build-isolation", "--use-pep517", "-d", str(folder)]
    subprocess.run([*pip, *options, f"mmcv-full=={release}"], env=environment, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder / f"mmcv-full-{release}"


def mended(script: str) -> str:
    """The text of mmcv's setup.py with every mend.

    Raises:
        ValueError: a mend's place is not there or there twice, so this is another release.
    """
    for old, new in MENDS:
        if script.count(old) != 1:
            raise ValueError(f"mmcv's setup.py has {script.count(old)} times {old!r}, expected once")
        script = script.replace(old, new)
    return script


def build_environment(folder: Path) -> dict[str, str]:
    """What the build finds in its environment; ``folder`` takes the precompiled header."""
    if os.environ.get("MMCV_WITH_OPS") != "1":
        return {"MMCV_WITH_OPS": "0"}
    # No debug information: a third off the time. -O2 is written out since on Python 3.12 and later CFLAGS replaces
    # Python's own flags, so that "-g0" alone compiles without optimisation. Newer setuptools read CXXFLAGS for C++.
    flags = {name: f"-O2 -DNDEBUG -g0 {os.environ.get(name, '')}" for name in ("CFLAGS", "CXXFLAGS")}
    wrapper = folder / "headers/c++"
    (folder / "headers/torch").mkdir(parents=True)
    (folder / "headers/torch/types.h").write_text("#include_next <torch/types.h>\n")
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{HERE / "compiler.py"}" "$@"\n')
    wrapper.chmod(0o755)
    compiler = {
        "CXX": str(wrapper),
        "MS2A_CXX": os.environ.get("CXX", "c++"),
        "MS2A_HEADERS": str(wrapper.parent),
    }
    # A visible GPU would ask for nvcc. Only the CPU's operators are needed: NMS of CUDA tensors is torchvision's.
    return flags | compiler | {"MMCV_WITH_OPS": "1", "CUDA_VISIBLE_DEVICES": ""}
