"""What was once read of a picture, kept for as long as the file has its size and time."""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "MS2A_CACHE"
"""Environment variable that names the folder of the cache; empty for none."""
BLOCK = 4096  # bytes
AT_ONCE = 500  # facts written in one go


def default_folder() -> Path | None:
    """The cache's folder: ``MS2A_CACHE``, else ``ms2a`` in the user's folder for caches."""
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE]) if os.environ[VARIABLE] else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ms2a"
    except RuntimeError:  # a user without a home
        return None


class PictureCache:
    """Facts about picture files, each of JSON's types; a file of another size or time has none.

    A cache that can't be opened, read or written is done without: every fact is then found anew. Several processes may
    use one; what is new is written in short transactions, so that none waits for another.

    Args:
        folder: where it lies; None: nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self._database: sqlite3.Connection | None = None
        self._new: dict[tuple[str, str], tuple] = {}
        if folder is None:
            return
        with contextlib.suppress(OSError, sqlite3.Error):
            folder.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(folder / "pictures.sqlite", timeout=10)
            columns = "path, kind, size, time, fact, PRIMARY KEY (path, kind)"
            database.execute(f"CREATE TABLE IF NOT EXISTS facts ({columns}) WITHOUT ROWID")
            self._database = database

    def __enter__(self) -> "PictureCache":
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        if self._database is not None:
            self._database.close()

    def _write(self) -> None:
        """Writes what is new in one short transaction."""
        if self._database is not None:
            rows = [(*key, *row) for key, row in self._new.items()]
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany("REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", rows)
        self._new.clear()

    def fact(self, path: Path, kind: str, find: Callable[[Path], Any]) -> Any:
        """What is known about a file, found out if need be.

        Args:
            path: the file.
            kind: name of the fact.
            find: finds the fact out; what it returns becomes lists, numbers and texts. None is not kept.

        Returns:
            The fact; None where there is no such file.
        """
        try:
            state = path.stat()
        except (OSError, ValueError):
            return None
        key, stamp = (os.path.abspath(path), kind), (state.st_size, state.st_mtime_ns)
        row = self._row(key)
        if row and row[:2] == stamp:
            return json.loads(row[2])
        fact = find(path)
        if fact is not None:
            self._new[key] = (*stamp, json.dumps(fact))
            if len(self._new) >= AT_ONCE:
                self._write()
        return fact

    def _row(self, key: tuple[str, str]) -> tuple | None:
        if key in self._new:
            return self._new[key]
        try:
            query = "SELECT size, time, fact FROM facts WHERE path = ? AND kind = ?"
            return self._database.execute(query, key).fetchone() if self._database else None
        except sqlite3.Error:
            self._database = None
            return None


def digest(path: Path) -> str | None:
    """A fingerprint of a file's bytes; None where it can't be read."""
    found = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            while block := file.read(256 * BLOCK):
                found.update(block)
    except OSError:
        return None
    return found.hexdigest()


def partial_digest(path: Path) -> str | None:
    """A fingerprint of a block at the start, in the middle and at the end of a file; None where it can't be read."""
    found = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            for start in (0, size // 2, max(size - BLOCK, 0)):
                file.seek(start)
                found.update(file.read(BLOCK))
    except OSError:
        return None
    return found.hexdigest()
