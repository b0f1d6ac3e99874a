"""What a report says of the data and the steps of a pipeline's work folder."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from ms2a.analysis.browse import draw_inputs
from ms2a.analysis.report.pictures import encode
from ms2a.artefacts import read_json
from ms2a.datasets.check.report import REPORT
from ms2a.errors import UserError
from ms2a.pipeline.config_data import check_adaptation
from ms2a.pipeline.data import sheet_name, show
from ms2a.pipeline.stages import TARGET_TRAINING, Adaptation

BATCHES, NUM_BATCHES = "batches", 8
SHEET_BYTES, BATCH_BYTES = 60_000, 14_000


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The steps' records, in the order of the pipeline where it has ended, else in which they were begun."""
    files = sorted((folder / "steps").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    records = {path.stem: read_json(path, "step record") for path in files}
    summary = folder / "summary.json"
    order = [step["name"] for step in read_json(summary, "summary")["steps"]] if summary.is_file() else list(records)
    return [records[name] for name in [*order, *(name for name in records if name not in order)] if name in records]


def seed_of(records: Sequence[dict[str, Any]]) -> int | None:
    """The seed that the steps were given; None before one has ended."""
    commands = [record.get("command", ()) for record in records]
    return next((int(words[words.index("--seed") + 1]) for words in commands if "--seed" in words), None)


def data_of(adaptation: Adaptation, notes: list[str]) -> dict[str, Any] | None:
    """The check's result, each set with its sheet; the check is made where the pipeline has not made it."""
    path = adaptation.work_dir / REPORT
    if not path.is_file():
        try:
            bit_depth = adaptation.configs[TARGET_TRAINING].get("bit_depth")
            show(check_adaptation(adaptation), adaptation.work_dir, bit_depth, say=lambda *_: None)
        except UserError as error:
            notes.append(f"the data are not shown: {error}")
            return None
    report = read_json(path, "data report")
    for checked in report["sets"]:
        checked["sheet"] = _picture(adaptation.work_dir / sheet_name(checked["name"]), SHEET_BYTES)
    return report


def batches_of(adaptation: Adaptation, stage: str, notes: list[str]) -> list[dict[str, str]] | None:
    """Some pictures as the network got them in a stage, drawn where they have not been."""
    folder = adaptation.work_dir / BATCHES / stage
    if not any(folder.glob("*.jpg")):
        try:
            with _warnings_only():
                draw_inputs(adaptation.configs[stage], folder, NUM_BATCHES, adaptation.seed)
        except UserError as error:
            notes.append(f"training pictures of {stage} are not shown: {error}")
            return None
    paths = sorted(folder.glob("*.jpg"))[:NUM_BATCHES]
    return [found for path in paths if (found := _picture(path, BATCH_BYTES, f"{BATCHES}/{stage}/{path.name}"))]


@contextmanager
def _warnings_only() -> Iterator[None]:
    """While it lasts mmdet does not tell the size that each of its parts was built for."""
    logger = logging.getLogger("mmdet")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _picture(path: Path, limit: int, href: str | None = None) -> dict[str, str] | None:
    """A picture of the work folder: its address beside the report, and a small copy inside it."""
    image = cv2.imread(str(path))
    return None if image is None else {"href": href or path.name, "src": encode(image, limit)[0]}
