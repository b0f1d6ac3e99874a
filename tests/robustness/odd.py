"""Odd and malformed inputs, drawn by hypothesis, and what any of them may lead to: status 0 or 2, and nothing else."""

import copy
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ms2a.errors import LONGEST_LINE, run_main

SECONDS = 60
# The fast profile draws the same every time; `make fuzz` draws anew for as long as it is told.
QUIET = dict(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
settings.register_profile("fast", max_examples=12, derandomize=True, database=None, **QUIET)
settings.register_profile("fuzz", max_examples=150, database=None, **QUIET)
settings.load_profile(os.environ.get("MS2A_HYPOTHESIS", "fast"))

TEXTS = ["", " ", "x", "nan", "1", "-1", "-x", "--help", ".", "..", "../x", "/", "a/b", "o'b", 'a"b', "a\\b", "a\nb"]
TEXTS += ["${model}", "${nothing}", "{{ fileDirname }}", "{0}", "%s", "\0", "\ufeff", "\ud800", "ü部😀"]
TEXTS += ["n" * 300, "y" * 9000]
TEXTS += ["a_cluster", "line_a", "training", "2020-13-45", "null", "true", "1e400", "part", "image", "None"]
NUMBERS = [0, 1, -1, 2, 3, 7, 63, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf")]
ODD = [*TEXTS, *NUMBERS, float("-inf"), None, True, False]
ODD += [[], {}, [[]], [None], {"": 1}, {"type": "Nope"}, [1, "1"], [[[[1]]]]]


def times(factor: int) -> settings:
    """More examples than the profile draws, for inputs that are dealt with quickly."""
    return settings(max_examples=factor * settings.default.max_examples)


def odd_values() -> st.SearchStrategy:
    """A value that is rarely right anywhere."""
    return st.one_of(st.sampled_from(ODD), st.text(max_size=8), st.integers(), st.floats())


@st.composite
def mutated(draw: st.DrawFn, value: Any, most: int = 3, values: st.SearchStrategy | None = None) -> Any:
    """A copy of nested lists and dictionaries of which some entries are replaced, removed, repeated or new."""
    value = copy.deepcopy(value)

    def new() -> Any:
        return copy.deepcopy(draw(values or odd_values()))  # what is drawn again must not be what was changed here

    for _ in range(draw(st.integers(1, most))):
        places = list(_places(value))
        if not places:
            return new()
        container, key = draw(st.sampled_from(places))
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "repeat", "add"]))
        if how == "remove":
            del container[key]
        elif how == "repeat" and isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
        elif how == "add" and isinstance(container, dict):
            container[draw(st.sampled_from(TEXTS))] = new()
        else:
            container[key] = new()
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file that is cut off, has strange bytes in it or a mark in front."""
    how = draw(st.sampled_from(["cut", "insert", "overwrite", "mark", "empty", "whole"]))
    at = draw(st.integers(0, len(content)))
    some = draw(st.binary(max_size=6))
    return {
        "cut": content[:at],
        "insert": content[:at] + some + content[at:],
        "overwrite": content[:at] + some + content[at + len(some) :],
        "mark": b"\xef\xbb\xbf" + content,
        "empty": b"",
        "whole": content,
    }[how]


def as_json(value: Any) -> bytes:
    """JSON with whatever texts, lone surrogates as well."""
    return json.dumps(value).encode()


class TooSlow(Exception):
    """An input took longer than any may."""


@contextmanager
def limited(seconds: int = SECONDS) -> Iterator[None]:
    """Raises in the main thread when the time is over."""

    def stop(*_: Any) -> None:
        raise TooSlow(f"over {seconds} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def told(action: Callable[[], Any]) -> str | None:
    """The one line that a command prints where the action fails; None where it doesn't.

    Anything but a mistake in one line, such as a traceback, fails the test.
    """
    out = io.StringIO()
    try:
        with limited(), redirect_stdout(io.StringIO()), redirect_stderr(out):
            run_main(lambda _: action())
        return None
    except SystemExit as left:
        # argparse prints its usage in front of the line.
        lines = out.getvalue().strip().splitlines()
        assert left.code in (0, 2), lines
        if left.code == 0:
            return None
        assert "error: " in lines[-1] and "Traceback" not in out.getvalue(), lines
        assert len(lines[-1]) <= LONGEST_LINE + len("ms2a extract: error: ") or "usage: " in out.getvalue()
        assert lines[-1].isprintable()
        return lines[-1]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, with size and time."""
    found = {}
    for path in folder.rglob("*"):
        stat = path.lstat()
        found[str(path.relative_to(folder))] = (stat.st_size, stat.st_mtime_ns)
    return found


@contextmanager
def writes_only(folder: Path, root: Path) -> Iterator[None]:
    """What runs inside writes below ``folder`` alone, and nothing but whole files.

    Args:
        folder: where results go.
        root: all that surrounds it; nothing else there may change.
    """
    before = {name: stat for name, stat in tree(root).items() if not _inside(root / name, folder)}
    yield
    after = {name: stat for name, stat in tree(root).items() if not _inside(root / name, folder)}
    assert {name: stat[0] for name, stat in after.items()} == {name: stat[0] for name, stat in before.items()}
    for path in folder.rglob("*"):
        if path.is_file():
            assert not path.name.startswith(".") or path.name.endswith("partial.pth"), f"{path} is left"
            whole(path)


def _inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def whole(path: Path) -> None:
    """Reads a file of a known kind to its end."""
    if path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".pth":
        torch.load(path, weights_only=True)


def clear_arguments() -> None:
    """Commands that are called in this process see no words of pytest's."""
    sys.argv = sys.argv[:1]
