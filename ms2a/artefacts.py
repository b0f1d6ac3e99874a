"""Files that are written whole or not at all, read without running code, and say where they came from.

torch is imported by the two functions that need it: commands that read and write annotations start without it.
"""

import hashlib
import json
import os
import pickle
import platform
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from ms2a.defaults import FILE_ENDINGS
from ms2a.errors import UserError
from ms2a.version import __version__


def memory_names(domain: str, prototype: str) -> list[str]:
    """What the memories of a domain are called, in files and in the memory bank.

    Args:
        domain: name of the domain.
        prototype: what a prototype is: ``"map"``, ``"vector"``, ``"style"`` or ``"colour"``.

    Raises:
        UserError: ``prototype`` is none of these.
    """
    if prototype not in FILE_ENDINGS:
        raise UserError(f"`prototype` is {prototype!r}, expected one of {', '.join(FILE_ENDINGS)}")
    return [f"{domain}{ending}" for ending in FILE_ENDINGS[prototype]]


def memory_file(folder: str | os.PathLike, name: str) -> str:
    """The memory file that clustering ``NAME.pth`` writes to ``folder``."""
    return os.path.join(folder, f"{name}_cluster.pth")


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` that takes its place when the block ends without an error.

    Args:
        path: the file to write; its folder is made if need be.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; an artefact is as readable as any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: str | os.PathLike) -> None:
    """Writes ``text`` to ``path`` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: Any, path: str | os.PathLike) -> None:
    """Writes ``value`` to ``path`` as indented JSON, whole or not at all."""
    write_text(json.dumps(value, indent=1) + "\n", path)


def read_json(path: str | os.PathLike, what: str) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        what: how to call it in an error, e.g. ``"annotation file"``.

    Raises:
        UserError: the file is missing, or is not valid JSON (truncated, say).
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))  # some programs put a mark in front
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{what} {path} does not exist; check the path") from None
    except ValueError as error:
        raise UserError(f"{what} {path} is not valid JSON ({error}); it may be truncated") from None


def save_torch(value: Any, path: str | os.PathLike) -> None:
    """Saves tensors and plain containers to ``path`` with ``torch.save``, whole or not at all."""
    import torch

    with atomic_path(path) as temporary:
        torch.save(value, temporary)


def load_torch(path: str | os.PathLike, what: str, mmap: bool = False) -> Any:
    """Loads a file made by ``torch.save`` onto the CPU, refusing anything but tensors and plain containers.

    Args:
        path: the file.
        what: how to call it in an error, e.g. ``"memory file"``.
        mmap: leave the tensors in the file until they are read, if it is of torch's newer kind (1.6, a zip archive).

    Raises:
        UserError: the file is missing, truncated, or would have to execute code to load.
    """
    import torch

    if not Path(path).is_file():
        raise UserError(f"{what} {path} does not exist; check the path")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        # torch's own message advises to load without the restriction; that is just what must not happen here.
        raise UserError(
            f"{what} {path} was refused: it is damaged, or holds more than tensors and plain containers, "
            "which could run code; save it with tensors and plain containers only"
        ) from None
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise UserError(f"{what} {path} cannot be read ({reason}); it may be truncated, make it again") from None


def file_sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits; read by the megabyte."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def provenance(config: str | None = None, seed: int | None = None) -> dict[str, Any]:
    """What an artefact records of its making: plain strings and numbers only.

    Args:
        config: name or text of the configuration.
        seed: the random seed.
    """
    versions = {"ms2a": __version__, "python": platform.python_version()}
    versions |= installed_versions("torch", "mmcv-full", "mmdet", "numpy", "faiss-cpu", "faiss-gpu-cu12")
    return {"config": config, "seed": seed, "versions": versions, "git_commit": _git_commit()}


def installed_versions(*packages: str) -> dict[str, str]:
    """The versions of those packages that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():  # an installed package may lie in another repository
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
