"""Runs both stages of an adaptation, from a config or from a task file that describes your own data.

CONFIG_OR_TASK [--work-dir DIR] [--seed N]: base training, feature extraction, clustering, source training, target
training, tests on target and source, drawn detections and a summary. Started again, it goes on where it stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import add_cfg_options, add_device, run_command
from ms2a.errors import seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config_or_task", help="target-training config (.py), or task file (.yaml)")
    parser.add_argument("--work-dir", type=Path, help="where results go; default work_dirs/<name>")
    parser.add_argument("--seed", type=seed, default=0, help="of everything random; default 0")
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Runs what is not done yet and prints the summary."""
    from ms2a.pipeline.runner import Runner
    from ms2a.pipeline.stages import load_adaptation, steps_of, write_configs
    from ms2a.pipeline.summary import write_summary
    from ms2a.pipeline.task import load_task

    path = Path(args.config_or_task)
    common = dict(seed=args.seed, device=args.device, cfg_options=args.cfg_options)
    if path.suffix in (".yaml", ".yml"):
        adaptation = load_task(path, args.work_dir, **common)
    else:
        adaptation = load_adaptation(path, args.work_dir or Path("work_dirs") / path.stem, **common)
    write_configs(adaptation)
    records = Runner(adaptation.work_dir).run(steps_of(adaptation))
    print(write_summary(adaptation, records))


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
