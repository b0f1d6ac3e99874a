"""Runs both stages of an adaptation, from a config or from a task file that describes your own data.

tools/run_pipeline.py CONFIG_OR_TASK [--work-dir DIR] [--seed N]: base training, feature extraction, clustering, source
training, target training, tests on target and source, drawn detections and a summary. Started again, it goes on where
it stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.config import add_cfg_options
from ms2a.errors import run_main, seed
from ms2a.pipeline.runner import Runner
from ms2a.pipeline.stages import load_adaptation, steps_of, write_configs
from ms2a.pipeline.summary import write_summary
from ms2a.pipeline.task import load_task


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config_or_task", help="target-training config (.py), or task file (.yaml)")
    parser.add_argument("--work-dir", type=Path, help="where results go; default work_dirs/<name>")
    parser.add_argument("--seed", type=seed, default=0, help="of everything random; default 0")
    parser.add_argument("--device", help="cpu, cuda, …; default: a GPU if there is one")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what is not done yet and prints the summary."""
    args = parse_args(argv)
    path = Path(args.config_or_task)
    common = dict(seed=args.seed, device=args.device, cfg_options=args.cfg_options)
    if path.suffix in (".yaml", ".yml"):
        adaptation = load_task(path, args.work_dir, **common)
    else:
        adaptation = load_adaptation(path, args.work_dir or Path("work_dirs") / path.stem, **common)
    write_configs(adaptation)
    records = Runner(adaptation.work_dir).run(steps_of(adaptation))
    print(write_summary(adaptation, records))


if __name__ == "__main__":
    run_main(main)
