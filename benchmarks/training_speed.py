"""Training now against the first version of this project that passed its tests, in images a second.

Both train the same recipe on the same images from the same random weights, in whole runs that take turns: the base
stage and stage II of the embedded benchmark, with loader workers, at one image size. The first version comes from the
project's own git history. Rounds differ in their seed, which shows how much losses vary by chance. Seconds of the
processor are those of a whole run, its start of about five included; they depend less on what else the machine does.
``--profile 1`` prints where one core's time goes instead. ``--nano 1`` compares the base stage of the nano detector at
192x256 on one core with commit 5689c18.
"""

import json
import os
import pstats
import resource
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch

from benchmarks.compare import calls_and_seconds, parse_args, print_profile, report
from ms2a.artefacts import write_text
from ms2a.benchmark.indus_synth import Sizes, make_benchmark
from ms2a.memory.files import write_maps

# The first commit with a README of working commands, a set-up script and tests of the whole pipeline that pass.
FIRST_VERSION = "9a602fb222a59aa72d58e3f7a6fe611511d356ea"
ROOT = Path(__file__).resolve().parents[1]
CONFIG = "configs/yolox/yolox_fs_n_128x320_indus_synth_{}.py"
BATCH = 8
# One image size: the two versions draw their multi-scale sizes in another order.
OPTIONS = [f"batch_size={BATCH}", "random_size_range=4,4", "num_last_epochs=1", "log_config.interval=1"]
STAGES = {
    "base": ["max_epochs=4"],
    "t1_pretrain_mom": ["max_epochs=3", "target_times=4", "load_from=None"],
}
NAMES = {"base": "base stage", "t1_pretrain_mom": "stage II"}
# What nano is compared with, and what makes the nano detector of the same config.
NANO_VERSION = "5689c18f0e5307ac530de1c11ef5ebfbb4deb589"
NANO = ["detector=nano", "image_size=192,256", "random_size_range=6,6", "max_epochs=3", "workers_per_gpu=0"]
# The recipe as it is now, for the first version's configs.
RECIPE = """
_base_ = {base!r}
lr = 1e-3
optimizer = dict(
    _delete_=True,
    type="AdamW",
    lr="${{lr}}",
    weight_decay=0.02,
    constructor="PlainNormConstructor",
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
optimizer_config = dict(_delete_=True, grad_clip=dict(max_norm=10))
"""
AUGMENTATION = {
    "base": (
        'data = dict(train=dict(skip_type_keys=["Mosaic", "MixUp"]))\n',
        ["data.train.pipeline.1.scaling_ratio_range=0.75,1.3", "data.train.pipeline.1.border=0,0"],
    ),
    "t1_pretrain_mom": ("", ["data.train.pipeline.2.scaling_ratio_range=0.5,1.5"]),
}


# What does each part of an iteration, in either version.
STEP = ("parallel/data_parallel.py", "train_step")
PARTS = {
    "loading": [("data/dataloader.py", "__next__")],
    "forward pass and losses": [STEP],
    "backward pass": [("torch/_tensor.py", "backward")],
    "gradient clipping": [("hooks/optimizer.py", "clip_grads")],
    "optimizer": [("optim/adamw.py", "step"), ("optim/adam.py", "step")],
    "moving average": [("ms2a/engine/hooks.py", "after_train_iter"), ("hook/ema.py", "after_train_iter")],
}


def check_out(folder: Path, version: str = FIRST_VERSION) -> bool:
    """Writes a version to a folder; False where the history does not have it."""
    command = ["git", "-C", str(ROOT), "archive", version]
    try:
        archive = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return True


def make_inputs(folder: Path) -> list[str]:
    """Renders a few images and draws random prototypes; returns the options that point there."""
    sizes = Sizes(train=96, val=1, pool=10, unlabelled=1, test=1, shots=(10,), split_seeds=1)
    make_benchmark(folder / "indus_synth", sizes=sizes, progress=False)
    for domain in ("indus_synth_s", "indus_synth_t1"):
        maps = [torch.randn(100, *size) for size in ((16, 40), (8, 20), (4, 10))]
        write_maps(folder / "memory" / f"{domain}_cluster.pth", maps, {"domain": domain})
    return [f"data_roots.indus_synth={folder / 'indus_synth'}", f"memory_dir={folder / 'memory'}"]


def train(
    root: Path, config: Path, work_dir: Path, seed: int, options: Sequence[str], **environment: str
) -> dict[str, float]:
    """One run of a version: its images a second, seconds of the processor, and loss over the last ten iterations.

    An epoch's first iteration waits for the loader's workers to start, which matters in short epochs only: left out.
    """
    for log in work_dir.glob("*.log.json"):
        log.unlink()
    before = _processor_seconds()
    arguments = ["--seed", str(seed), "--cfg-options", *OPTIONS, *options]
    _run_training(root, config, work_dir, [], arguments, **environment)
    (log,) = work_dir.glob("*.log.json")
    rows = [row for row in map(json.loads, log.read_text().splitlines()) if row.get("mode") == "train"]
    seconds = [row["time"] for row in rows if row["iter"] > 1]
    return dict(
        images_per_second=BATCH / statistics.mean(seconds),
        processor_seconds=_processor_seconds() - before,
        last_loss=statistics.mean(row["loss"] for row in rows[-10:]),
    )


def profile(root: Path, config: Path, work_dir: Path, options: Sequence[str]) -> dict[str, float]:
    """Milliseconds of an iteration that each of its parts takes on one core, under Python's profiler."""
    output = work_dir.with_suffix(".profile")
    profiler = ["-m", "cProfile", "-o", str(output)]
    arguments = ["--cfg-options", *OPTIONS, "workers_per_gpu=0", *options]
    _run_training(root, config, work_dir, profiler, arguments, OMP_NUM_THREADS="1")
    found = pstats.Stats(str(output))
    iterations, _ = calls_and_seconds(found, [STEP])
    milliseconds = {part: 1e3 * calls_and_seconds(found, by)[1] / iterations for part, by in PARTS.items()}
    return {**milliseconds, "all": sum(milliseconds.values())}


def _run_training(
    root: Path, config: Path, work_dir: Path, python: Sequence[str], arguments: Sequence[str], **environment: str
) -> None:
    command = [sys.executable, *python, "tools/train.py", str(config), "--work-dir", str(work_dir), "--no-validate"]
    environment = {**os.environ, "PYTHONPATH": str(root), **environment}
    command += ["--device", "cpu", *arguments]
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"training in {root} failed:\n{run.stderr[-2000:]}")


def _processor_seconds() -> float:
    """Of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def sides_of(folder: Path, first: Path) -> dict[str, dict[str, tuple[Path, Path, list[str]]]]:
    """For each stage and version where it lies, its config and its options."""
    inputs, sides = make_inputs(folder), {}
    for stage, options in STAGES.items():
        lines, changes = AUGMENTATION[stage]
        old_config = folder / f"first_{stage}.py"
        write_text(RECIPE.format(base=str(first / CONFIG.format(stage))) + lines, old_config)
        options = [*inputs, *options]
        sides[stage] = dict(
            now=(ROOT, ROOT / CONFIG.format(stage), options), first=(first, old_config, [*options, *changes])
        )
    return sides


def compare_nano(folder: Path, rounds: int, results: Path) -> None:
    """Images a second of the nano detector on one core, loading included: now and before, in turn."""
    before = folder / "version_before"
    if not check_out(before, NANO_VERSION):
        print(f"skipped: the git history here has no commit {NANO_VERSION[:7]}, the version to compare with")
        return
    options, sides = [*make_inputs(folder), *NANO], dict(now=ROOT, before=before)
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for seed in range(rounds):
        for side, root in sides.items():
            config, work_dir = root / CONFIG.format("base"), folder / f"nano_{side}"
            runs[side].append(train(root, config, work_dir, seed, options, OMP_NUM_THREADS="1"))
    figures = {
        f"{name}_{side}": [round(run[name], 3) for run in found] for side, found in runs.items() for name in found[0]
    }
    speeds = ([run["images_per_second"] for run in runs[side]] for side in ("now", "before"))
    report("Training nano at 192x256 on one core, now to before", *speeds, "≥ 1.5", results, **figures)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, or profiles; says in one line if the history is missing."""
    args = parse_args(__doc__, argv, profile=0, nano=0)
    folder = args.results.resolve() / "training_speed"
    if args.nano:
        compare_nano(folder, args.rounds, args.results)
        return
    first = folder / "first_version"
    if not check_out(first):
        print(f"skipped: the git history here has no commit {FIRST_VERSION[:7]}, the first version to compare with")
        return
    stages = sides_of(folder, first)
    if args.profile:
        print_profile(
            {
                f"{NAMES[stage]}, {side}": profile(root, config, folder / f"{stage}_{side}", options)
                for stage, sides in stages.items()
                for side, (root, config, options) in sides.items()
            }
        )
        return
    for stage, sides in stages.items():
        runs: dict[str, list[dict[str, float]]] = dict(now=[], first=[])
        # A round is two whole runs for each stage: half as many as asked for.
        for seed in range(max(args.rounds // 2, 1)):
            for side, (root, config, options) in sides.items():
                runs[side].append(train(root, config, folder / f"{stage}_{side}", seed, options))
        figures = {
            f"{name}_{side}": [round(run[name], 3) for run in found]
            for side, found in runs.items()
            for name in found[0]
        }
        speeds = ([run["images_per_second"] for run in runs[side]] for side in ("now", "first"))
        report(f"Training {NAMES[stage]}, now to first version", *speeds, "≥ 1.5", args.results, **figures)


if __name__ == "__main__":
    main()
