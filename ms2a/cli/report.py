"""Writes report.html, one page that shows what came out of a run: WORK_DIR of a pipeline, a test or a training.

The work folder of ms2a pipeline, finished or not, of ms2a test --work-dir, or of ms2a train. The page needs no network.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("work_dir", metavar="WORK_DIR", type=Path, help="folder of the run; the report goes there")


def run(args: argparse.Namespace) -> None:
    """Writes the report."""
    from ms2a.pipeline.report import write_report

    path = write_report(args.work_dir)
    print(f"{path}, {path.stat().st_size / 2**20:.1f} MB")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
