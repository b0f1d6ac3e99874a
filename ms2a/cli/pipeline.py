"""Runs both stages of an adaptation, from a config or from a task file that describes your own data.

CONFIG_OR_TASK [--work-dir DIR] [--seed N]: base training, feature extraction, clustering, source training, target
training, tests on target and source, drawn detections and a summary. Started again, it goes on where it stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import add_cfg_options, add_device, run_command
from ms2a.defaults import DETECTORS
from ms2a.errors import seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config_or_task", help="target-training config (.py), or task file (.yaml)")
    parser.add_argument("--work-dir", type=Path, help="where results go; default work_dirs/<name>")
    parser.add_argument("--seed", type=seed, default=0, help="of everything random; default 0")
    parser.add_argument(
        "--detector", choices=DETECTORS, help="size of the detector; default: as the file says, else nano"
    )
    parser.add_argument(
        "--weights",
        help="where the base detector starts: coco, none, a file or an address; default: as the file says, else coco",
    )
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Runs what is not done yet and prints the summary."""
    from ms2a.pipeline.run import run_pipeline

    given = dict(detector=args.detector, weights=args.weights)
    run_pipeline(args.config_or_task, args.work_dir, args.seed, args.device, args.cfg_options, **given)


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
