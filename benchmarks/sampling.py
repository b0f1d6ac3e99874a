"""The sample of channel maps: concatenating, sorting and slicing in every batch, to replacing rows in place.

A full sample meets batches of eight images of one level, of which few rows get in, as in the middle of a long run.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.compare import parse_args, report, time_in_turn
from ms2a.memory.kept_rows import KeptRows, keep_smallest


def batches(count: int, rows: int, values: int, seen: int) -> list[tuple[np.ndarray, torch.Tensor]]:
    """Keys (N,) that are uniform, so that of N rows about N · kept / seen get in, and rows (N, 1, values)."""
    rng = np.random.default_rng(1)
    return [(rng.random(rows) * seen, torch.rand(rows, 1, values)) for _ in range(count)]


def main(argv: Sequence[str] | None = None) -> None:
    """Times both forms on the same batches and compares what they keep."""
    args = parse_args(__doc__, argv, kept=32_000, values=640, batch_rows=2560, batches=10)
    keys = np.random.default_rng(0).random(args.kept)
    rows = torch.rand(args.kept, 1, args.values)
    offered = batches(args.batches, args.batch_rows, args.values, seen=4)
    results: dict[str, np.ndarray] = {}

    def plain() -> None:
        now, values = keys, rows
        for new_keys, new_rows in offered:
            now, values = keep_smallest(now, values, new_keys, new_rows, args.kept)
        results["plain"] = now

    full = KeptRows(args.kept)
    full.insert(keys, lambda places: rows[torch.from_numpy(places)])
    start = full.keys.copy()

    def in_place() -> None:
        full.keys = start.copy()
        for new_keys, new_rows in offered:
            full.insert(new_keys, rows_of(new_rows))
        results["in place"] = np.sort(full.keys)

    seconds = time_in_turn([plain, in_place], args.rounds)
    np.testing.assert_array_equal(results["plain"], results["in place"])
    milliseconds = {
        f"{name}, ms a batch": round(float(np.median(times)) * 1e3 / args.batches, 1)
        for name, times in zip(("plain", "in place"), seconds, strict=True)
    }
    report("Sample of channel maps, plain form to in place", *seconds, "–", args.results, **milliseconds)


def rows_of(rows: torch.Tensor) -> Callable[[np.ndarray], torch.Tensor]:
    """What :meth:`KeptRows.insert` takes."""
    return lambda places: rows[torch.from_numpy(places)]


if __name__ == "__main__":
    main()
