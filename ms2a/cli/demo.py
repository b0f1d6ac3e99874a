"""Adapts a small detector from a bright conveyor to a dark one: generated data, ten annotated images."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli import pipeline
from ms2a.cli.command import add_cfg_options, add_device, run_command
from ms2a.errors import seed

DEMO = "yolox/yolox_fs_n_128x320_indus_synth_demo_pretrain_mom_ft.py"
# A detector of the bright conveyor, trained on its generated images alone, see docs/data.md.
WEIGHTS = "weights/indus_synth_source_small.pth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "--work-dir", type=Path, default=Path("work_dirs/demo"), help="where results go; default %(default)s"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of everything random; default %(default)s")
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Runs the pipeline on the demo's config."""
    from ms2a.config import CONFIGS

    start = dict(detector=None, weights=str(CONFIGS / WEIGHTS))
    pipeline.run(argparse.Namespace(config_or_task=CONFIGS / DEMO, **start, **vars(args)))


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
