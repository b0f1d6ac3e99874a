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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from ms2a.defaults import FILE_ENDINGS
from ms2a.errors import UserError
from ms2a.version import __version__

# Bytes of a file's name that its temporary file's name begins with.
LONGEST_STEM = 100


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


def check_files_apart(domains: Sequence[str]) -> None:
    """Checks that no file of Stage I of one domain is called like one of another.

    Raises:
        UserError: two are, such as the prototypes of ``a`` and the sample of ``a_cluster``.
    """
    owners: dict[str, str] = {}
    for domain in domains:
        samples = {f"{domain}{ending}.pth" for endings in FILE_ENDINGS.values() for ending in endings}
        for name in sorted(samples | {memory_file("", Path(sample).stem) for sample in samples}):
            if owners.setdefault(name, domain) != domain:
                raise UserError(
                    f"domains {owners[name]!r} and {domain!r} would both have a file {name}, one in the place of the "
                    "other; rename one of them"
                )


@contextmanager
def atomic_path(path: str | os.PathLike, durable: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` that takes its place when the block ends without an error.

    Args:
        path: the file to write; its folder is made if need be.
        durable: wait until it is on the disk, for what took long to make: a machine that loses its power keeps it.

    Raises:
        OSError: the file cannot be written, with its name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Shortened, since the temporary file's name is longer.
    stem = os.fsdecode(os.fsencode(path.stem)[:LONGEST_STEM])
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if durable:
            _to_disk(temporary)
        # mkstemp makes private files; an artefact is as readable as any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        if durable:
            _to_disk(path.parent)
    except OSError as error:
        if error.filename is None and error.errno:  # a full disk does not say which file it was
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_output(path: str | os.PathLike, is_folder: bool = False) -> None:
    """Finds out before hours of work that a result could not be written after them. Nothing is made.

    Args:
        path: the file, or the folder of files.
        is_folder: which of the two.

    Raises:
        UserError: a folder is in the file's place.
        OSError: the folder cannot be made, or no file in it.
    """
    path = Path(path)
    if not is_folder and path.is_dir():
        raise UserError(f"{path} is a folder, expected the name of a file to write")
    folder = path if is_folder else path.parent
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    tempfile.TemporaryFile(dir=there).close()


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
    text = read_text(path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} is not valid JSON ({_reason(error)}); it may be truncated") from None


def read_yaml(path: str | os.PathLike, what: str) -> Any:
    """The content of a YAML file, of plain values.

    Args:
        path: the file.
        what: how to call it in an error.

    Raises:
        UserError: the file is missing, or is not valid YAML, or holds what can be no value, such as a 45th of May.
    """
    text = read_text(path, what)
    try:
        return yaml.safe_load(text)
    except Exception as error:  # PyYAML lets pass what the making of a value raises
        raise UserError(f"{what} {path} is not valid YAML: {_reason(error)}; put doubtful values in quotes") from None


def read_text(path: str | os.PathLike, what: str) -> str:
    """The content of a text file in UTF-8, without the mark that some programs put in front.

    Raises:
        UserError: the file is missing or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{what} {path} does not exist; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{what} {path} is not text in UTF-8; save it as such") from None
    except ValueError as error:  # a path that no file can have
        raise UserError(f"{what} {str(path)!r} cannot be the name of a file: {error}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return " ".join(str(error).split())


def save_torch(value: Any, path: str | os.PathLike) -> None:
    """Saves tensors and plain containers to ``path`` with ``torch.save``, whole or not at all.

    Raises:
        UserError: the disk does not take it.
    """
    import torch

    with atomic_path(path, durable=True) as temporary:
        try:
            torch.save(value, temporary)
        except RuntimeError as error:  # torch's own writer does not say what the system said
            reason = str(error).splitlines()[0]
            raise UserError(f"{path} cannot be written ({reason}); is the disk full? Earlier results stay") from error


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
