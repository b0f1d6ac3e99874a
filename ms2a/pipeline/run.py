"""Both stages in one call."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ms2a.lock import only_one
from ms2a.pipeline.config_data import check_adaptation
from ms2a.pipeline.data import show
from ms2a.pipeline.report import write_report
from ms2a.pipeline.runner import Runner
from ms2a.pipeline.stages import (
    BASE,
    TARGET_TRAINING,
    Adaptation,
    load_adaptation,
    prepare_step,
    steps_of,
    write_configs,
)
from ms2a.pipeline.start import recipe_options
from ms2a.pipeline.summary import as_text, write_summary
from ms2a.pipeline.task import TASK_SUFFIXES, adaptation_of, read_task


def run_pipeline(
    config_or_task: str | Path,
    work_dir: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    say: Callable[..., None] = print,
    detector: str | None = None,
    weights: str | None = None,
) -> dict[str, Any]:
    """Runs what is not done yet of an adaptation: training, both tests, drawn detections, summary and report.

    Called again, it goes on where it stopped.

    Args:
        config_or_task: a target-training config (.py), or a task file (.yaml), see :mod:`ms2a.pipeline.task`.
        work_dir: where results go; default ``work_dirs/<name of the config or task>``.
        seed: of everything random.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; default: a GPU if there is one.
        cfg_options: config options of all stages; they come after what the task file says.
        say: where progress and the summary's text are told.
        detector: its size; default: as the config or the task says, see :func:`ms2a.pipeline.start.choose_start`.
        weights: where the base detector starts: ``coco``, ``none``, a file or an address; default likewise.

    Returns:
        the summary: ``source`` and ``target``, ``detector`` and ``weights``, ``results`` by detector and score in
        percent, ``steps`` with seconds, peak memory in MiB and attempts, ``checkpoint_choice`` and ``provenance``.

    Raises:
        UserError: the config or task cannot be read or used, its data are not right, a step failed, or another process
            works in the folder.
    """
    path = Path(config_or_task)
    task = read_task(path) if path.suffix in TASK_SUFFIXES else None
    folder = Path(work_dir) if work_dir else Path("work_dirs", task.name if task else path.stem)
    if str(folder).startswith("-"):  # the steps' command lines would take it for an option
        folder = folder.absolute()
    with only_one(folder, "the pipeline"):
        if task:
            adaptation = adaptation_of(task, folder, seed, device, cfg_options, say, detector, weights)
        else:
            adaptation = load_adaptation(path, folder, seed, device, cfg_options)
            if detector or weights:
                options = recipe_options(detector, weights, cfg_options, adaptation.configs[BASE], say)
                adaptation = load_adaptation(path, folder, seed, device, options)
            if not prepare_step(adaptation):  # else there may be no data yet
                _check(adaptation, say)
        write_configs(adaptation)
        records = Runner(adaptation.work_dir, say).run(steps_of(adaptation))
        summary = write_summary(adaptation, records)
    say(as_text(summary))
    say(f"summary.txt, summary.json, summary.png, drawn/ and all checkpoints: {adaptation.work_dir}")
    say(f"to look at, in a browser: {write_report(adaptation.work_dir, say)}")
    return summary


def _check(adaptation: Adaptation, say: Callable[..., None]) -> None:
    report = check_adaptation(adaptation)
    show(report, adaptation.work_dir, adaptation.configs[TARGET_TRAINING].get("bit_depth"), say)
    report.refuse()
