"""What an interrupted run needs to go on: a file beside its output, written every so often, removed at the end."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ms2a.artefacts import load_torch, save_torch
from ms2a.errors import UserError

# Saving may take this share of the time.
_OVERHEAD = 0.02


class Partial:
    """The saved state of one run.

    Args:
        path: the file.
        identity: what the run computes, plain values by name; a state is used only by a run of equal identity.
        interval: seconds between two saves at least. They are further apart where one takes long, so that saving costs
            no more than a fiftieth of the time.
    """

    def __init__(self, path: str | os.PathLike, identity: Mapping[str, Any], interval: float) -> None:
        self.path = Path(path)
        self.identity = dict(identity)
        self.interval = interval
        self._due = time.monotonic() + interval

    def load(self) -> dict[str, Any] | None:
        """The state that an interrupted run of the same identity left, if any; another's is told and left unused."""
        if not self.path.is_file():
            return None
        try:
            content = load_torch(self.path, "partial file", mmap=True)
        except UserError as error:
            warn(f"{error}; starting anew")
            return None
        other = [name for name, value in self.identity.items() if content["identity"].get(name) != value]
        if other:
            warn(f"{self.path} is of a run with another {' and '.join(other)}; starting anew")
            return None
        return content["state"]

    def save_if_due(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Saves what ``state`` returns if it is time to."""
        start = time.monotonic()
        if start < self._due:
            return
        save_torch(dict(identity=self.identity, state=dict(state())), self.path)
        end = time.monotonic()
        self._due = end + max(self.interval, (end - start) / _OVERHEAD)

    def remove(self) -> None:
        """Removes the file, and what a run that was killed while it wrote one has left."""
        self.path.unlink(missing_ok=True)
        for leftover in self.path.parent.glob(f".{self.path.stem}.*{self.path.suffix}"):
            leftover.unlink(missing_ok=True)


def file_identity(path: str | os.PathLike) -> str:
    """Tells a file from others, and from itself after a change, without reading it."""
    if not os.path.exists(path):  # an address
        return str(path)
    stat = os.stat(path)
    return f"{os.path.realpath(path)}, {stat.st_size} bytes, modified at {stat.st_mtime_ns} ns"


def warn(message: str) -> None:
    """Prints a warning above a progress bar."""
    tqdm.write(f"warning: {message}", file=sys.stderr)
