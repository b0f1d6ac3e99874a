"""How every benchmark here measures: both sides in turn on the same data, and the ratio with its spread."""

import argparse
import os
import platform
import pstats
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ms2a.artefacts import write_json

RESULTS = Path("work_dirs/bench")


def parse_args(description: str | None, argv: Sequence[str] | None = None, **defaults: Any) -> argparse.Namespace:
    """The options all benchmarks share: ``--rounds``, ``--results``, and one ``--NAME`` for each of ``defaults``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often both sides are timed (%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results (%(default)s)")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help="(%(default)s)")
    return parser.parse_args(argv)


def time_in_turn(sides: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Seconds of each side in every round, after one round that is not counted.

    The sides take turns, so that what else the machine does meets all of them.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    for counted in [False] + [True] * rounds:
        for side, times in zip(sides, seconds, strict=True):
            start = time.perf_counter()
            side()
            if counted:
                times.append(time.perf_counter() - start)
    return seconds


def calls_and_seconds(profile: pstats.Stats, functions: Sequence[tuple[str, str]]) -> tuple[int, float]:
    """How often a profiled run called a function, and its seconds with all that it called.

    Args:
        profile: of Python's profiler.
        functions: the end of the file and the name of each function that may have done the work; the first that the
            run called counts.

    Raises:
        RuntimeError: the run called none of them.
    """
    for end, name in functions:
        for (file, _, function), (_, calls, _, seconds, _) in profile.stats.items():
            if function == name and file.endswith(end):
                return calls, seconds
    raise RuntimeError(f"the run called none of {', '.join(f'{name} of {end}' for end, name in functions)}")


def print_profile(milliseconds: Mapping[str, Mapping[str, float]], digits: int = 0) -> None:
    """Prints a Markdown table: a row for each side, a column for each of its parts."""
    columns = list(next(iter(milliseconds.values())))
    print("| |", " | ".join(columns), "|\n|", " | ".join(["---"] * (len(columns) + 1)), "|")
    for side, parts in milliseconds.items():
        print(f"| {side} |", " | ".join(f"{value:.{digits}f}" for value in parts.values()), "|")


def report(
    claim: str,
    numerator: Sequence[float],
    denominator: Sequence[float],
    goal: str,
    results: Path = RESULTS,
    **more: Any,
) -> dict[str, Any]:
    """Prints one claim's ratio and adds it to the results.

    Args:
        claim: what is compared, as a row of the table.
        numerator: one figure per round.
        denominator: likewise, of the same rounds; the ratio is taken round by round.
        goal: what the ratio should be, e.g. ``"≥ 2"``.
        results: folder; the row goes to ``CLAIM.json`` there.
        more: other figures worth keeping.
    """
    ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
    row = dict(
        claim=claim,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        rounds=len(ratios),
        goal=goal,
        **more,
        machine=machine(),
    )
    print(f"{claim}: {row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f} in {len(ratios)} rounds), goal {goal}")
    for name, value in more.items():
        print(f"    {name}: {value}")
    results.mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() else "_" for letter in claim.lower())
    write_json(row, results / f"{name}.json")
    return row


def machine() -> dict[str, Any]:
    """The machine, in words."""
    return dict(
        processor=platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
