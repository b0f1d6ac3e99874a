"""Runs every benchmark of this folder and writes their table: work_dirs/bench/table.md."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import parse_args
from ms2a.artefacts import read_json, write_text

FOLDER = Path(__file__).parent
NOT_BENCHMARKS = {
    "__init__.py",
    "clustering_large.py",  # needs scikit-learn
    "compare.py",
    "detectors.py",
    "gpu_check.py",
    "gpu_parts.py",
    "gpu_speed.py",
    "gpu_training.py",
    "images.py",
    "run_all.py",
    "sizes.py",
    "shared_cores.py",  # takes longer than all others together
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table, and the machine they were measured on."""
    lines = ["| | ratio | lowest to highest | rounds | goal |", "| --- | --- | --- | --- | --- |"]
    lines += ["| {claim} | {ratio:.2f} | {low:.2f} to {high:.2f} | {rounds} | {goal} |".format_map(row) for row in rows]
    machines = {", ".join(f"{key} {value}" for key, value in row["machine"].items()) for row in rows}
    return "\n".join(lines + ["", *(f"Machine: {machine}." for machine in sorted(machines))]) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs them one after the other."""
    args = parse_args(__doc__, argv)
    scripts = sorted(path for path in FOLDER.glob("*.py") if path.name not in NOT_BENCHMARKS)
    for path in args.results.glob("*.json"):
        path.unlink()
    for number, script in enumerate(scripts, 1):
        print(f"[{number}/{len(scripts)}] {script.stem}", flush=True)
        start = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{script.stem}"]
        subprocess.run([*command, "--rounds", str(args.rounds), "--results", str(args.results)], check=True)
        print(f"    {time.monotonic() - start:.0f} s", flush=True)
    rows = [read_json(path, "benchmark result") for path in sorted(args.results.glob("*.json"))]
    write_text(table(rows), args.results / "table.md")
    print(table(rows))


if __name__ == "__main__":
    main()
