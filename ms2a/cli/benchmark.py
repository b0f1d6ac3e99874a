"""Compares adaptation methods over tasks, numbers of annotated images and seeds; see docs/results.md.

--shots 10 --seeds 1 2 3: runs what is not done yet and adds one JSON line a run to the results file. Seed 0 is for
choosing: where annotated images are drawn from a pool, a part of the pool is tested, not the test set.
--report: makes the tables and plots of a results file, and says which runs are missing.
--against METHOD: prints what the other methods have over it in any number of results files, paired by task and seed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.benchmark.lines import SCORES
from ms2a.cli.command import add_cfg_options, add_device, run_command
from ms2a.defaults import DETECTORS
from ms2a.errors import UserError, seed

TASKS = (
    "yolox/yolox_fs_n_128x320_indus_synth_t1_10_pretrain_mom_ft.py",
    "yolox/yolox_fs_n_128x320_indus_synth_t2_10_pretrain_mom_ft.py",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "--tasks", nargs="+", type=Path, help="what ms2a pipeline takes; default: indus_synth's S to T1 and S to T2"
    )
    parser.add_argument("--methods", nargs="+", help="configs of configs/benchmark; default: all")
    parser.add_argument("--shots", nargs="+", type=int, default=[None], help="numbers of annotated target images")
    parser.add_argument("--seeds", nargs="+", type=seed, default=[1, 2, 3], help="default 1 2 3")
    parser.add_argument(
        "--iterations", nargs="+", type=int, default=[None], help="budgets of the adaptation, e.g. 240 720 2160"
    )
    parser.add_argument("--detector", choices=DETECTORS, help="size of the detector; default: as the task says")
    parser.add_argument(
        "--weights", help="where base detectors start: coco, none, a file or an address; default: as the task says"
    )
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/benchmark"), help="checkpoints and logs")
    parser.add_argument(
        "--results", nargs="+", type=Path, help="JSON lines; default WORK_DIR/results.jsonl; several with --against"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; the cores are divided among them")
    parser.add_argument("--keep", action="store_true", help="leave runs alone that a former version has done")
    parser.add_argument("--report", action="store_true", help="only make tables and plots of --results, beside it")
    parser.add_argument(
        "--against", metavar="METHOD", help="only print scores, and differences to this method, of --results"
    )
    parser.add_argument("--metric", choices=SCORES, default="mAP", help="of --against; default mAP, of the target")
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Runs, reports or compares."""
    from ms2a.benchmark.against import asked_for, read_tasks, tables_against
    from ms2a.benchmark.plan import Run, known_methods
    from ms2a.benchmark.report import write_report
    from ms2a.benchmark.run import missing_runs, read_results, read_wanted, run_benchmark
    from ms2a.config import CONFIGS

    files = args.results or [args.work_dir / "results.jsonl"]
    if args.against:
        lines = asked_for(
            read_tasks(files),
            args.methods and [*args.methods, args.against],
            None if args.shots == [None] else args.shots,
            None if args.iterations == [None] else args.iterations,
            args.seeds,
        )
        return print(tables_against(args.against, lines, args.metric))
    if len(files) > 1:
        raise UserError(f"`results={len(files)} files`: expected one; several can be compared with --against METHOD")
    results = files[0]
    if not args.report:
        runs = [
            Run(Path(task), method, shots, seed, iterations, args.detector, args.weights)
            for seed in args.seeds
            for iterations in args.iterations
            for shots in args.shots
            for task in args.tasks or [CONFIGS / name for name in TASKS]
            for method in args.methods or known_methods()
        ]
        run_benchmark(runs, args.work_dir, results, args.jobs, args.device, args.keep, args.cfg_options)
    lines = read_results(results)
    print(write_report(lines, results.parent, missing_runs(lines, read_wanted(results))))


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
