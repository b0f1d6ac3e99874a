"""One process at a time in a folder: two that write the same files would undo each other's work."""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ms2a.errors import UserError, warn

LOCK_FILE = ".ms2a.lock"
_BLOCKED = (errno.EACCES, errno.EAGAIN)
# Files of the locks that this process holds, and how many of its threads do.
_held: dict[Path, tuple[IO[str], int]] = {}
_guard = threading.Lock()


@contextmanager
def only_one(folder: str | os.PathLike, what: str, name: str = LOCK_FILE) -> Iterator[None]:
    """Holds a folder while the block runs.

    The system gives the lock back when the process ends, however it ends: what a killed one leaves is in nobody's way.
    Processes that this one forks do not hold it. The same process may hold a folder several times over.

    Args:
        folder: made if need be, and removed if it was and stays empty.
        what: what is done there, for the error of another process.
        name: of the lock's file; work of different kinds in one folder needs different ones.

    Raises:
        UserError: another process holds it.
    """
    path = Path(folder, name).absolute()
    made = not path.parent.exists()
    with _guard:
        file, count = _held.get(path) or (_locked(path, what), 0)
        _held[path] = file, count + 1
    try:
        yield
    finally:
        with _guard:
            file, count = _held[path]
            if count > 1:
                _held[path] = file, count - 1
            else:
                del _held[path]
                path.unlink(missing_ok=True)
                file.close()
        if made:  # and nothing was written there
            with suppress(OSError):
                path.parent.rmdir()


@contextmanager
def in_turn(path: str | os.PathLike) -> Iterator[None]:
    """Lets processes that read and write a file do so one after the other; the others wait.

    Args:
        path: the file, which need not be there; a hidden one beside it is locked and stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX)
        except OSError as error:  # a disk without locks
            warn(f"{path} cannot be locked ({error}): see to it yourself that one process at a time writes it")
        yield


def _locked(path: Path, what: str) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = open(path, "a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BLOCKED:  # a disk without locks
                warn(f"{path} cannot be locked ({error}): see to it yourself that one process at a time works there")
                return file
            owner = _owner(file)
            file.close()
            raise UserError(
                f"{what} cannot start: {path.parent} is in use, {owner}; wait for its end, stop it, or choose another "
                "folder"
            ) from None
        if _is_file_of(path, file):
            file.truncate(0)
            about = dict(what=what, host=socket.gethostname(), process=os.getpid())
            file.write(json.dumps(about | dict(since=time.strftime("%Y-%m-%d %H:%M:%S"))))
            file.flush()
            return file
        file.close()  # whoever held it has just removed it


def _is_file_of(path: Path, file: IO[str]) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _owner(file: IO[str]) -> str:
    file.seek(0)
    try:
        about = json.loads(file.read())
        return f"{about['what']} by process {about['process']} on {about['host']} since {about['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process works there"
