"""What a pipeline found: a table as text and JSON, and a picture sheet of detections before and after."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmcv import Config
from terminaltables import AsciiTable

from ms2a.analysis.comparison import comparison_sheet
from ms2a.artefacts import provenance, read_json, write_json, write_text
from ms2a.engine.sizes import size_of_model
from ms2a.pipeline.stages import BASE, TARGET_TRAINING, Adaptation

METRICS = ("mAP", "mAP_50")
# Row of the table → folder of its test.
ROWS = {"source only": "source_only", "MS2A": TARGET_TRAINING}
CHECKPOINT_CHOICE = "last epoch of each stage; no target test label was used"


def write_summary(adaptation: Adaptation, records: Sequence[Mapping]) -> dict[str, Any]:
    """Writes ``summary.json``, ``summary.txt`` and ``summary.png`` to the work folder.

    Args:
        adaptation: what was run.
        records: the steps' records.

    Returns:
        the content of ``summary.json``.
    """
    config = adaptation.configs[TARGET_TRAINING]
    summary = {
        "source": adaptation.source,
        "target": adaptation.target,
        **_start(adaptation.configs[BASE]),
        "results": {row: _metrics(adaptation, name) for row, name in ROWS.items()},
        "steps": [{key: record[key] for key in ("name", "seconds", "peak_mib", "attempts")} for record in records],
        "checkpoint_choice": CHECKPOINT_CHOICE,
        "provenance": provenance(str(adaptation.config_path(TARGET_TRAINING)), adaptation.seed),
    }
    write_json(summary, adaptation.work_dir / "summary.json")
    write_text(as_text(summary), adaptation.work_dir / "summary.txt")
    test_set = config.target_test if "target_test" in config else config.data.test.datasets[0]
    comparison_sheet(
        test_set,
        before=adaptation.results("source_only") / "detections.json",
        after=adaptation.results(TARGET_TRAINING) / "detections.json",
        out_file=adaptation.work_dir / "summary.png",
        bit_depth=config.get("bit_depth"),
    )
    return summary


def _start(base: Config) -> dict[str, str | None]:
    """Size of the detector, None for one of its own, and the name of the file that its weights started from."""
    weights = base.get("load_from")
    return {"detector": size_of_model(base.model), "weights": Path(weights).name if weights else None}


def _metrics(adaptation: Adaptation, name: str) -> dict[str, float]:
    """``<domain> mAP`` and ``<domain> mAP_50`` of both domains, in percent."""
    metrics = read_json(adaptation.results(name) / "metrics.json", "metrics file")["metrics"]
    return {
        f"{domain} {metric}": 100 * metrics[f"{domain}_bbox_{metric}"]
        for domain in (adaptation.target, adaptation.source)
        for metric in METRICS
        if f"{domain}_bbox_{metric}" in metrics
    }


def as_text(summary: Mapping[str, Any]) -> str:
    """The tables of a summary: scores, and what each step cost."""
    columns = list(summary["results"]["MS2A"])
    scores = [["", *columns]]
    scores += [[row, *(f"{metrics[name]:.1f}" for name in columns)] for row, metrics in summary["results"].items()]
    steps = [["step", "time", "peak memory (RAM)", ""]]
    steps += [
        [step["name"], f"{step['seconds']:.0f} s", f"{step['peak_mib']:.0f} MiB", _attempts(step)]
        for step in summary["steps"]
    ]
    steps.append(["total", f"{sum(step['seconds'] for step in summary['steps']):.0f} s", "", ""])
    start = f"detector {summary['detector'] or 'of its own size'} from {summary['weights'] or 'random weights'}"
    return (
        f"{summary['source']} → {summary['target']}, {start}; test sets, percent\n\n{_table(scores)}\n\n"
        f"checkpoints: {summary['checkpoint_choice']}; seed {summary['provenance']['seed']}\n\n{_table(steps)}\n"
    )


def _attempts(step: Mapping[str, Any]) -> str:
    return f"last of {step['attempts']} attempts" if step["attempts"] > 1 else ""


def _table(rows: list[list[str]]) -> str:
    """Columns without lines; all but the first lean to the right."""
    table = AsciiTable(rows)
    table.outer_border = table.inner_column_border = table.inner_heading_row_border = False
    table.justify_columns = dict.fromkeys(range(1, len(rows[0])), "right")
    return table.table
