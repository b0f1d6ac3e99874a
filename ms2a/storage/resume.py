"""What an interrupted run needs to go on: a file beside its output, written every so often, removed at the end."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmcv.runner import get_dist_info

from ms2a.artefacts import load_torch, save_torch
from ms2a.errors import UserError, warn

# Saving may take this share of the time.
_OVERHEAD = 0.02


class Partial:
    """The saved state of one process of a run.

    Args:
        folder: where the states lie.
        name: what their names start with.
        identity: what the run computes, plain values by name; a state is used only by a run of equal identity and as
            many processes.
        interval: seconds between two saves at least. They are further apart where one takes long, so that saving costs
            no more than a fiftieth of the time.
    """

    def __init__(self, folder: str | os.PathLike, name: str, identity: Mapping[str, Any], interval: float) -> None:
        self.rank, num_processes = get_dist_info()
        end = f"of{num_processes}.partial.pth"
        self.path = Path(folder, f"{name}.{self.rank}{end}")
        found = Path(folder).glob(f"{name}.*of*.partial.pth")
        self._of_other_counts = [path for path in found if not path.name.endswith(end)]
        self.identity = dict(identity)
        self.interval = interval
        self._due = time.monotonic() + interval

    def load(self) -> dict[str, Any] | None:
        """The state that an interrupted run of the same identity left, if any; another's is told and left unused."""
        if self._of_other_counts and self.rank == 0:
            warn(f"{self._of_other_counts[0]} is of a run with another number of processes; it is not used")
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
        """Removes the state, what a run that was killed while it saved has left, and states that nobody can use."""
        leftovers = [*self.path.parent.glob(f".{self.path.stem}.*{self.path.suffix}")]
        for path in [self.path, *leftovers, *(self._of_other_counts if self.rank == 0 else [])]:
            path.unlink(missing_ok=True)


def file_identity(path: str | os.PathLike) -> str:
    """Tells a file from others, and from itself after a change, without reading it."""
    if not os.path.exists(path):  # an address
        return str(path)
    stat = os.stat(path)
    return f"{os.path.realpath(path)}, {stat.st_size} bytes, modified at {stat.st_mtime_ns} ns"
