"""What a pipeline found: a table as text and JSON, and a picture sheet of detections before and after."""

from collections.abc import Mapping, Sequence

from ms2a.analysis.comparison import comparison_sheet
from ms2a.artefacts import provenance, read_json, write_json, write_text
from ms2a.pipeline.stages import TARGET_TRAINING, Adaptation

METRICS = ("mAP", "mAP_50")
# Row of the table → folder of its test.
ROWS = {"source only": "source_only", "MS2A": TARGET_TRAINING}
CHECKPOINT_CHOICE = "last epoch of each stage; no target test label was used"


def write_summary(adaptation: Adaptation, records: Sequence[Mapping]) -> str:
    """Writes ``summary.json``, ``summary.txt`` and ``summary.png`` to the work folder.

    Args:
        adaptation: what was run.
        records: the steps' records.

    Returns:
        the text.
    """
    config = adaptation.configs[TARGET_TRAINING]
    results = {row: _metrics(adaptation, name) for row, name in ROWS.items()}
    steps = [{key: record[key] for key in ("name", "seconds", "peak_mib", "attempts")} for record in records]
    summary = {
        "source": adaptation.source,
        "target": adaptation.target,
        "results": results,
        "steps": steps,
        "checkpoint_choice": CHECKPOINT_CHOICE,
        "provenance": provenance(str(adaptation.config_path(TARGET_TRAINING)), adaptation.seed),
    }
    text = _as_text(summary)
    write_json(summary, adaptation.work_dir / "summary.json")
    write_text(text, adaptation.work_dir / "summary.txt")
    test_set = config.target_test if "target_test" in config else config.data.test.datasets[0]
    comparison_sheet(
        test_set,
        before=adaptation.results("source_only") / "detections.json",
        after=adaptation.results(TARGET_TRAINING) / "detections.json",
        out_file=adaptation.work_dir / "summary.png",
    )
    return f"{text}\nsummary.txt, summary.json, summary.png, drawn/ and all checkpoints: {adaptation.work_dir}"


def _metrics(adaptation: Adaptation, name: str) -> dict[str, float]:
    """``<domain>_bbox_mAP`` and ``<domain>_bbox_mAP_50`` of both domains, in percent."""
    metrics = read_json(adaptation.results(name) / "metrics.json", "metrics file")["metrics"]
    return {
        f"{domain} {metric}": 100 * metrics[f"{domain}_bbox_{metric}"]
        for domain in (adaptation.target, adaptation.source)
        for metric in METRICS
        if f"{domain}_bbox_{metric}" in metrics
    }


def _attempts(step: Mapping) -> str:
    return f"   last of {step['attempts']} attempts" if step["attempts"] > 1 else ""


def _as_text(summary: Mapping) -> str:
    columns = list(summary["results"]["MS2A"])
    widths = [max(len(column), 6) for column in columns]
    lines = [f"{summary['source']} → {summary['target']}, test sets, percent", ""]
    lines.append(f"{'':24}" + "  ".join(f"{column:>{width}}" for column, width in zip(columns, widths, strict=True)))
    for row, metrics in summary["results"].items():
        values = (f"{metrics[column]:>{width}.1f}" for column, width in zip(columns, widths, strict=True))
        lines.append(f"{row:24}" + "  ".join(values))
    lines += ["", f"checkpoints: {summary['checkpoint_choice']}; seed {summary['provenance']['seed']}", ""]
    lines.append(f"{'step':32}{'time':>8}{'peak memory (RAM)':>20}")
    for step in summary["steps"]:
        lines.append(f"{step['name']:32}{step['seconds']:>6.0f} s{step['peak_mib']:>16.0f} MiB" + _attempts(step))
    lines.append(f"{'total':32}{sum(step['seconds'] for step in summary['steps']):>6.0f} s")
    return "\n".join(lines) + "\n"
