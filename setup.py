"""Package description. Reads text files only: torch and mmcv need not be there yet."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """The requirement lines of requirements/NAME.txt, without comments."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("-r")]


def stated(name: str) -> list[str]:
    """The releases that requirements/platforms.txt names for Python, torch or mmcv-full, the default first."""
    lines = (ROOT / "requirements/platforms.txt").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(f"{name} "))


def with_the_opencv_that_is_there(lines: list[str]) -> list[str]:
    """The requirement lines; opencv-python-headless stays where that is installed, since both write the same files."""
    try:
        distribution("opencv-python-headless")
    except PackageNotFoundError:
        return lines
    return [line.replace("opencv-python", "opencv-python-headless") for line in lines]


def version() -> str:
    """The version string defined in ms2a/version.py."""
    scope: dict[str, str] = {}
    exec((ROOT / "ms2a" / "version.py").read_text(), scope)
    return scope["__version__"]


extras = {name: requirements(name) for name in ("export", "int8", "gpu", "demo", "test", "dev")}
extras["test"] += extras["export"] + extras["demo"]
WEB_FILES = ["*.html", "*.css", "*.js"]

setup(
    name="ms2a",
    version=version(),
    description="Memory Storage-to-Adaptation: cross-domain object detection with few annotations, on mmdetection",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # Later releases are not refused: they may work, and tools/setup_env.sh says which ones were tested.
    python_requires=f">={min(stated('python'), key=lambda text: int(text.split('.')[1]))}",
    packages=[*find_packages(include=["ms2a", "ms2a.*"]), "ms2a.configs"],
    # The recipes travel as data files: they are read by path, see ms2a.config.CONFIGS.
    package_dir={"ms2a.configs": "configs"},
    package_data={
        "ms2a.configs": ["**/*.py", "**/*.yaml", "weights/*.pth"],
        "ms2a.analysis.report": WEB_FILES,
        "ms2a.web": WEB_FILES,
    },
    entry_points={"console_scripts": ["ms2a = ms2a.cli:main"]},
    install_requires=with_the_opencv_that_is_there(requirements("runtime")),
    extras_require=extras,
)
