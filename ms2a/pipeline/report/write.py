"""Finds out what a work folder holds and writes its report."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ms2a.analysis.report.advice import Tested, advise
from ms2a.analysis.report.page import render_page
from ms2a.analysis.report.plots import class_curves_plot, errors_plot, losses_plot, precision_recall_plot
from ms2a.artefacts import provenance, read_json, write_text
from ms2a.config import load_config
from ms2a.engine.training_csv import TRAINING_CSV, read_training
from ms2a.errors import UserError, warn
from ms2a.pipeline.report.memory import memory_section
from ms2a.pipeline.report.tested import AFTER, BEFORE, TestSet, gallery, read_test_sets, score_sets
from ms2a.pipeline.report.work_dir import batches_of, data_of, records_of, seed_of
from ms2a.pipeline.stages import BASE, SOURCE_TRAINING, TARGET_TRAINING, Adaptation, adaptation_in

REPORT = "report.html"
TEST_CONFIG, DETECTIONS, METRICS = "config.py", "detections.json", "metrics.json"
STAGES = (BASE, SOURCE_TRAINING, TARGET_TRAINING)
READ_PICTURES = 6
"""Pictures whose reading of the memory is shown, evenly spaced in the test set."""
MANY_CLASSES = 12


def write_report(work_dir: str | os.PathLike, say: Callable[..., None] = print) -> Path:
    """Writes ``report.html`` to a work folder: one file that needs no network.

    Args:
        work_dir: of a pipeline, finished or not; of ``tools/test.py --work-dir``; or of a training.
        say: where it is told what the report has to leave out.

    Returns:
        the report.

    Raises:
        UserError: there is no such folder, or it holds none of these.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise UserError(f"work folder {folder} does not exist; check the path")
    if (folder / "configs" / f"{TARGET_TRAINING}.py").is_file():
        content = _of_pipeline(folder, say)
    elif (folder / TEST_CONFIG).is_file() and (folder / DETECTIONS).is_file():
        content = _of_test(folder)
    elif (folder / TRAINING_CSV).is_file():
        content = _of_training(folder)
    else:
        raise UserError(
            f"{folder} holds nothing to report: expected the work folder of ms2a pipeline, of ms2a test --work-dir, or "
            "of ms2a train"
        )
    path = folder / REPORT
    write_text(render_page(content | {"written_by": provenance()}), path)
    return path


def _of_pipeline(folder: Path, say: Callable[..., None]) -> dict[str, Any]:
    adaptation = adaptation_in(folder)
    config = adaptation.configs[TARGET_TRAINING]
    records = records_of(folder)
    files = {BEFORE: adaptation.results("source_only"), AFTER: adaptation.results(TARGET_TRAINING)}
    files = {run: path / DETECTIONS for run, path in files.items() if (path / DETECTIONS).is_file()}
    if list(files) == [BEFORE]:
        files = {AFTER: files[BEFORE]}
    notes: list[str] = []
    sets = read_test_sets(config, files) if files else []
    losses = {stage: read_training(path) for stage in STAGES if (path := folder / stage / TRAINING_CSV).is_file()}
    notes += [f"{stage}: no {TRAINING_CSV}" for stage in STAGES if stage not in losses]
    memory = _memory(adaptation, sets, notes)
    content = {
        "title": f"{adaptation.source} → {adaptation.target}",
        "kind": "adaptation",
        "adapted": list(files) == [BEFORE, AFTER],
        "data": data_of(adaptation, notes),
        "stages": [_stage(adaptation, stage, losses.get(stage), notes) for stage in STAGES],
        "memory": memory,
        "steps": records,
        "provenance": _made_by(adaptation, records),
        "facts": _facts(adaptation),
        "notes": notes,
    } | _scores(sets, losses, memory, config.get("bit_depth"))
    for note in notes:
        say(f"report: {note}")
    return content


def _of_test(folder: Path) -> dict[str, Any]:
    config = load_config(folder / TEST_CONFIG)
    sets = read_test_sets(config, {AFTER: folder / DETECTIONS})
    metrics = read_json(folder / METRICS, "metrics") if (folder / METRICS).is_file() else {}
    made_by = metrics.get("provenance") or provenance(str(folder / TEST_CONFIG))
    facts = {key: metrics[key] for key in ("config", "checkpoint", "engine", "precision") if key in metrics}
    title = f"Test on {', '.join(own.domain for own in sets if own.domain) or 'one test set'}"
    content = {"title": title, "kind": "test", "provenance": made_by, "facts": facts}
    return content | _scores(sets, {}, None, config.get("bit_depth"))


def _of_training(folder: Path) -> dict[str, Any]:
    losses = {folder.resolve().name: read_training(folder / TRAINING_CSV)}
    stages = [_losses(name, rows, TRAINING_CSV) for name, rows in losses.items()]
    content = {"title": f"Training {folder.resolve().name}", "kind": "training", "provenance": provenance()}
    return content | {"stages": stages, "advice": advise(None, None, losses, None)}


def _scores(
    sets: list[TestSet], losses: dict[str, Any], memory: dict[str, Any] | None, bit_depth: int | None
) -> dict[str, Any]:
    """What follows from tests: scores with plots, pictures, advice."""
    results = score_sets(sets)
    target, source = (results + [None, None])[:2]
    varies = float(np.mean(memory["varies"])) if memory and memory.get("varies") else None
    return {
        "domains": [{"tested": own} | _plots(own, number) for number, own in enumerate(results)],
        "advice": advise(target, source, losses, varies),
        "gallery": gallery(sets, bit_depth) if sets else None,
    }


def _plots(own: Tested, number: int) -> dict[str, Any]:
    runs = {BEFORE: own.before, AFTER: own.after} if own.before else {"detections": own.after}
    many = 1 < len(own.after.class_curves) <= MANY_CLASSES
    before = own.before.class_curves if own.before else {}
    errors = {run: scores.errors for run, scores in runs.items()}
    return {
        "curves": precision_recall_plot({run: scores.curves for run, scores in runs.items()}, f"curves{number}"),
        "class_curves": class_curves_plot(before, own.after.class_curves, f"classes{number}") if many else None,
        "errors": errors_plot(errors, f"errors{number}") if any(errors.values()) else None,
    }


def _stage(adaptation: Adaptation, stage: str, rows: list[dict[str, Any]] | None, notes: list[str]) -> dict[str, Any]:
    shown = _losses(stage, rows, f"{stage}/{TRAINING_CSV}")
    return shown | {"batches": batches_of(adaptation, stage, notes) if rows else None}


def _losses(stage: str, rows: list[dict[str, Any]] | None, csv: str) -> dict[str, Any]:
    """A stage's name, plot, epochs so far, seconds an iteration and the address of its table."""
    trained = [row for row in rows or () if row["mode"] == "train"]
    if not trained:
        return {"name": stage.replace("_", " "), "plot": None}
    return {
        "name": stage.replace("_", " "),
        "plot": losses_plot(trained, f"losses-{stage}"),
        "epochs": math.ceil(trained[-1]["epoch"]),  # the last iterations of an epoch may not be logged
        "seconds": float(np.mean([row["time"] for row in trained if "time" in row])),
        "waited": float(np.mean([row.get("data_time", 0.0) for row in trained])),
        "csv": csv,
    }


def _memory(adaptation: Adaptation, sets: list[TestSet], notes: list[str]) -> dict[str, Any] | None:
    checkpoint = adaptation.checkpoint(TARGET_TRAINING)
    if not checkpoint.is_file():
        return None
    images: list[Path] = []
    if sets:
        listed = [sets[0].folder / image["file_name"] for image in sets[0].truth["images"]]
        there = [path for path in listed if path.is_file()]
        spaced = np.linspace(0, len(there) - 1, min(READ_PICTURES, len(there))).round().astype(int)
        images = [there[index] for index in spaced]
    try:
        return memory_section(adaptation.configs[TARGET_TRAINING], checkpoint, images)
    except UserError as error:
        notes.append(f"the memory is not shown: {error}")
        return None


def _facts(adaptation: Adaptation) -> dict[str, str]:
    """What the summary says of the detector and of how its checkpoint was chosen."""
    path = adaptation.work_dir / "summary.json"
    summary = read_json(path, "summary") if path.is_file() else {}
    return {
        key.replace("_", " "): summary[key] for key in ("detector", "weights", "checkpoint_choice") if summary.get(key)
    }


def _made_by(adaptation: Adaptation, records: list[dict[str, Any]]) -> dict[str, Any]:
    """As the summary says; of a pipeline that has not ended, what would be written now."""
    path = adaptation.work_dir / "summary.json"
    if path.is_file():
        return read_json(path, "summary")["provenance"]
    warn(f"{adaptation.work_dir} holds no summary yet: the report shows what there is")
    return provenance(str(adaptation.config_path(TARGET_TRAINING)), seed_of(records))
