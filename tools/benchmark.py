"""Compares adaptation methods over tasks, numbers of annotated images and seeds; see docs/benchmark.md.

tools/benchmark.py --shots 10 --seeds 1 2 3: runs what is not done yet and adds one JSON line a run to the results file.
tools/benchmark.py --report: makes the tables and plots of a results file.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.benchmark.plan import Run, known_methods
from ms2a.benchmark.report import write_report
from ms2a.benchmark.run import read_results, run_benchmark
from ms2a.config import add_cfg_options
from ms2a.errors import run_main, seed

TASKS = [
    "configs/yolox/yolox_fs_n_128x320_indus_synth_t1_10_pretrain_mom_ft.py",
    "configs/yolox/yolox_fs_n_128x320_indus_synth_t2_10_pretrain_mom_ft.py",
]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", type=Path, default=TASKS, help="what tools/run_pipeline.py takes")
    parser.add_argument("--methods", nargs="+", default=known_methods(), help="configs of configs/benchmark")
    parser.add_argument("--shots", nargs="+", type=int, default=[None], help="numbers of annotated target images")
    parser.add_argument("--seeds", nargs="+", type=seed, default=[1, 2, 3], help="default 1 2 3")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/benchmark"), help="checkpoints and logs")
    parser.add_argument("--results", type=Path, help="JSON lines; default WORK_DIR/results.jsonl")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; the cores are divided among them")
    parser.add_argument("--device", help="cpu, cuda, …; default: a GPU if there is one")
    parser.add_argument("--keep", action="store_true", help="leave runs alone that a former version has done")
    parser.add_argument("--report", action="store_true", help="only make tables and plots of --results, beside it")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs, or reports."""
    args = parse_args(argv)
    results = args.results or args.work_dir / "results.jsonl"
    if not args.report:
        runs = [
            Run(Path(task), method, shots, seed)
            for seed in args.seeds
            for shots in args.shots
            for task in args.tasks
            for method in args.methods
        ]
        run_benchmark(runs, args.work_dir, results, args.jobs, args.device, args.keep, args.cfg_options)
    print(write_report(read_results(results), results.parent))


if __name__ == "__main__":
    run_main(main)
