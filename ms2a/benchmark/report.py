"""Tables and plots of a benchmark's results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ms2a.artefacts import atomic_path, write_text
from ms2a.benchmark.curve import label_curves, labels_worth, plot_curves
from ms2a.benchmark.groups import belongs, group_of, groups_of, of_any_task
from ms2a.benchmark.lines import KINDS, options_of
from ms2a.benchmark.plan import known_methods
from ms2a.benchmark.statistics import mean_and_deviation, paired_difference
from ms2a.benchmark.tables import markdown, signed, with_spread

matplotlib.use("Agg")

COLUMNS = ("target mAP", "target mAP_50", "source mAP", "source mAP_50")
# The scores that the best baselines are chosen by.
DECIDING, PLAIN = "target mAP_50", "target mAP"


def write_report(
    lines: Sequence[Mapping[str, Any]], folder: Path, missing: Sequence[Mapping[str, Any]] | None = None
) -> str:
    """Writes ``report.md``, a plot for each group of runs, and one of the score against the number of labels.

    A group is a task, a start of the detector, a number of annotated images, a budget of iterations and the options.
    Development draws, which are tested on a part of the pool, are groups of their own and stand last.

    Args:
        lines: from :func:`ms2a.benchmark.run.read_results`.
        folder: where to.
        missing: the runs that were asked for and have no line.

    Returns:
        the text of the report.
    """
    sections = []
    for group in groups_of([line for line in lines if line["kind"] != "bound"]):
        chosen = [line for line in lines if belongs(line, group)]
        rows = summarise(chosen)
        sections.append(_table(group.title, rows))
        _plot(rows, group.title_of_plot, folder / f"{group.file_name}.png")
    sections += _label_sections(lines, folder)
    reported = [line for line in lines if not line.get("development")]
    for group in groups_of([of_any_task(line) for line in reported if line["kind"] != "bound"]):
        alike = [line for line in reported if belongs(of_any_task(line), group)]
        for column in DECIDING, PLAIN:
            sections += _controls_table(group.conditions, alike, column)
    if missing:
        sections.append(_missing_table(missing))
    text = "\n".join(sections)
    write_text(text, folder / "report.md")
    return text


def _label_sections(lines: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """For each task, start and budget the curve over numbers of labels."""
    sections = []
    for group in sorted({group_of(line)._replace(shots=0) for line in lines if line["iterations"]}):
        curves = label_curves([line for line in lines if group_of(line)._replace(shots=0) == group])
        if not curves:
            continue
        plot_curves(curves, group.title_of_plot, folder / f"{group.file_name}.png")
        counts = list(curves[0]["scores"])
        table = [["", *counts]]
        for curve in curves:
            scores = curve["scores"]
            table.append([curve["title"], *(with_spread(scores[count]) if count in scores else "" for count in counts)])
        sections.append(markdown(group.title, table) + _worth(curves))
    return sections


def _worth(curves: Sequence[Mapping[str, Any]]) -> str:
    """How many labels the best baseline needs for what the leading form has with the fewest."""
    baseline, *methods = curves
    if baseline["kind"] != "baseline" or not methods:
        return ""
    fewest = min(methods[0]["scores"])
    count = labels_worth(baseline["scores"], methods[0]["scores"][fewest][0])
    most = max(baseline["scores"])
    many = f"more than {most}" if np.isinf(count) else f"{count:.0f}"
    return f"\n{methods[0]['title']} with {fewest} scores as {baseline['title']} with {many}.\n"


def _missing_table(missing: Sequence[Mapping[str, Any]]) -> str:
    """What was asked for and has no line yet, the seeds of a run in one row."""
    names = ("source", "task", "detector", "weights", "shots", "iterations", "method")
    seeds: dict[tuple, list[str]] = {}
    for place in missing:
        key = (*(place[name] for name in names), options_of(place) or None)
        seeds.setdefault(key, []).append(str(place["seed"]))
    rows = [[*("–" if part is None else part for part in key), " ".join(found)] for key, found in seeds.items()]
    return markdown(f"Missing: {len(missing)} runs that were asked for", [[*names, "options", "seeds"], *rows])


def summarise(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a method: means, deviations and the paired difference to the best baseline.

    Args:
        lines: results of one task and one number of annotated images.

    Returns:
        rows with ``title``, ``kind``, ``seeds``, for each score ``(mean, standard deviation)``, ``difference`` and
        ``plain difference`` (in mAP50 and mAP; mean, half of the 95 % interval by Student's t over the seeds both have;
        NaN with fewer than two; None: the best itself) and ``seconds``, by kind and then by rising score.
    """
    by_method: dict[str, dict[int, Mapping]] = {}
    for line in lines:
        by_method.setdefault(line["method"], {})[line["seed"]] = line
    baselines = [name for name, runs in by_method.items() if _any(runs)["kind"] == "baseline"]
    best = {
        column: max(baselines, key=lambda name, of=column: _mean(by_method[name], of), default=None)
        for column in (DECIDING, PLAIN)
    }
    rows = []
    for name, runs in by_method.items():
        line = _any(runs)
        rows.append(
            {
                "method": name,
                "title": line["title"],
                "kind": line["kind"],
                "seeds": len(runs),
                **{
                    key: paired_difference(_scores(runs, of), _scores(by_method[best[of]], of))
                    if best[of] not in (None, name)
                    else None
                    for key, of in (("difference", DECIDING), ("plain difference", PLAIN))
                },
                "seconds": float(np.mean([run["adaptation_seconds"] for run in runs.values()])),
                **{column: mean_and_deviation([*_scores(runs, column).values()]) for column in COLUMNS},
            }
        )
    return sorted(rows, key=lambda row: (KINDS.index(row["kind"]), row[DECIDING][0]))


def against_controls(lines: Sequence[Mapping[str, Any]], column: str = DECIDING) -> list[dict[str, Any]]:
    """What each method has over each of its controls, paired by task and seed.

    A control's name begins with the name of its method.

    Args:
        lines: results of one number of annotated images, start and budget.
        column: which score.

    Returns:
        rows with ``method`` and ``control`` (titles), for each task, ``(source, target)``, and for ``"all"`` the
        :func:`paired_difference`, and ``pairs``, the number of pairs of ``"all"``.
    """
    by_method: dict[str, dict[tuple, Mapping]] = {}
    for line in lines:
        by_method.setdefault(line["method"], {})[_task(line), line["seed"]] = line
    names = {*by_method, *known_methods()}
    rows = []
    for name, controls in by_method.items():
        # Of all methods there are, not of those that were run: the controls of one are not those of another.
        its = max((method for method in names if name.startswith(f"{method}_")), key=len, default=None)
        if its not in by_method or _any(controls)["kind"] != "control":
            continue
        row = {"method": _any(by_method[its])["title"], "control": _any(controls)["title"]}
        own, others = _scores(by_method[its], column), _scores(controls, column)
        for task in sorted(set(map(_task, lines))):
            row[task] = paired_difference({key: score for key, score in own.items() if key[0] == task}, others)
        row["all"] = paired_difference(own, others)
        row["pairs"] = len(set(controls) & set(by_method[its]))
        rows.append(row)
    return sorted(rows, key=lambda row: (row["method"], row["control"]))


def _task(line: Mapping[str, Any]) -> tuple[str, str]:
    return line["source"], line["task"]


def _any(runs: Mapping[int, Mapping]) -> Mapping:
    return next(iter(runs.values()))


def _scores(runs: Mapping[Any, Mapping], column: str) -> dict[Any, float]:
    return {key: run["metrics"].get(column, float("nan")) for key, run in runs.items()}


def _mean(runs: Mapping[Any, Mapping], column: str) -> float:
    return float(np.mean([*_scores(runs, column).values()]))


def _table(title: str, rows: Sequence[Mapping]) -> str:
    heads = ["", "seeds", "target mAP", "target mAP50", "source mAP", "source mAP50"]
    table, kind = [[*heads, "mAP to best baseline", "mAP50 to best baseline", "adaptation"]], None
    for row in rows:
        if row["kind"] != kind:
            kind = row["kind"]
            table.append([f"**{kind}**", *[""] * 8])
        differences = (row[key] for key in ("plain difference", "difference"))
        differences = ["best" if difference is None else signed(difference) for difference in differences]
        scores = [with_spread(row[column]) for column in COLUMNS]
        table.append([row["title"], row["seeds"], *scores, *differences, f"{row['seconds']:.0f} s"])
    return markdown(title, table)


def _controls_table(conditions: str, lines: Sequence[Mapping], column: str) -> list[str]:
    rows = against_controls(lines, column)
    if not rows:
        return []
    tasks = sorted(set(map(_task, lines)))
    table = [["method", "control", *(target for _, target in tasks), "all tasks", "pairs"]]
    for row in rows:
        differences = [signed(row[column]) for column in (*tasks, "all")]
        table.append([row["method"], row["control"], *differences, row["pairs"]])
    return [markdown(f"Method minus control, {column.replace('_', '')}, {conditions}", table)]


def _plot(rows: Sequence[Mapping], title: str, path: Path) -> None:
    from matplotlib import pyplot

    colours = dict(zip(KINDS, ("0.6", "tab:blue", "tab:red", "tab:orange"), strict=True))
    figure, axes = pyplot.subplots(figsize=(8, 0.3 * len(rows) + 1.2), layout="constrained")
    places = np.arange(len(rows))
    means = [row[DECIDING][0] for row in rows]
    deviations = np.nan_to_num([row[DECIDING][1] for row in rows])
    axes.barh(places, means, xerr=deviations, color=[colours[row["kind"]] for row in rows], ecolor="0.2")
    axes.set_yticks(places, [row["title"] for row in rows])
    axes.set_xlabel("target mAP50 (mean and standard deviation over seeds)")
    axes.set_title(title, loc="right")  # above long names too
    axes.margins(y=0.01)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)
