"""Weight files that have an address: looked for in a folder and in torch's cache, else downloaded once and checked."""

import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import torch
import torch.distributed as dist
from mmcv.runner import get_dist_info

from ms2a.artefacts import atomic_path, file_sha256
from ms2a.errors import UserError, warn
from ms2a.progress import Progress

VARIABLE = "MS2A_WEIGHTS"
"""Environment variable that names a folder of weight files, which is looked at before anything is downloaded."""
TIMEOUT = 30  # seconds without a byte
BLOCK = 2**20  # bytes
# As torch.hub reads it: mmdet's files end in the first digits of their SHA-256. Without a letter it may be a date.
CHECKSUM = re.compile(r"-(?=\d*[a-f])([0-9a-f]{8,64})\.\w+$")


def weights_folder() -> Path | None:
    """The folder that ``MS2A_WEIGHTS`` names.

    Raises:
        UserError: it names no folder.
    """
    folder = os.environ.get(VARIABLE)
    if folder and not Path(folder).is_dir():
        raise UserError(f"{VARIABLE}={folder} is no folder; make it, or unset the variable")
    return Path(folder) if folder else None


def cache_folder() -> Path:
    """Where downloaded files lie: ``checkpoints`` in torch's folder, which ``TORCH_HOME`` moves."""
    return Path(torch.hub.get_dir(), "checkpoints")


def fetched(url: str, what: str) -> Path:
    """The local file of an address, downloaded with a progress bar where it is not there yet.

    ``MS2A_WEIGHTS`` is looked at first, then the cache. With several processes the first one downloads.

    Args:
        url: http(s) address of a file. Where its name ends in the first digits of its SHA-256, as mmdet's do, they are
            compared.
        what: how to call it in an error, e.g. ``"load_from"``.

    Raises:
        UserError: it can't be downloaded, arrives cut off, or has another checksum. Nothing is left in the cache.
    """
    name = url.rsplit("/", 1)[-1].split("?")[0]
    sha256 = (CHECKSUM.search(name) or [None, None])[1]
    folder, path = weights_folder(), cache_folder() / name
    if folder and (folder / name).is_file():
        _check(folder / name, sha256, "copy it again")
        return folder / name
    rank, world_size = get_dist_info()
    if rank == 0 and not path.is_file():
        try:
            _download(url, path, sha256)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UserError(f"{what} {url} cannot be downloaded ({_reason(error)}); {_remedy(name, folder)}") from None
    if world_size > 1:
        dist.barrier()
    _check(path, sha256, "delete it, then it is downloaded again")
    return path


def _download(url: str, path: Path, sha256: str | None) -> None:
    """Downloads to ``path``, whole or not at all.

    torch.hub's own function takes a file for whole that was cut off, unless it has a checksum.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "ms2a"})
    with atomic_path(path) as temporary:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response, open(temporary, "wb") as out:
            size = int(response.headers.get("Content-Length") or 0)
            bar = dict(total=size or None, desc=path.name, unit="B", unit_scale=True, unit_divisor=1024, delay=0)
            with Progress.wrapattr(out, "write", **bar) as sink:
                shutil.copyfileobj(response, sink, BLOCK)
        arrived = temporary.stat().st_size
        if size and arrived != size:
            raise OSError(f"it was cut off: {arrived} of {size} bytes arrived")
        if sha256 and (found := file_sha256(temporary)[: len(sha256)]) != sha256:
            raise OSError(f"its checksum is {found}, expected {sha256}")
    if not sha256:
        warn(f"{path.name} states no checksum: what was downloaded could only be checked by its length")


def _check(path: Path, sha256: str | None, remedy: str) -> None:
    if sha256 and (found := file_sha256(path)[: len(sha256)]) != sha256:
        raise UserError(f"weights {path}: its checksum is {found}, expected {sha256}; it is damaged, {remedy}")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(error).__name__


def _remedy(name: str, folder: Path | None) -> str:
    if folder:
        return f"put {name} from there into {folder}, which {VARIABLE} names"
    return f"without network, put {name} from there into a folder and set {VARIABLE} to that folder"
