"""Tables and plots of a benchmark's results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy import stats
from terminaltables import GithubFlavoredMarkdownTable

from ms2a.artefacts import atomic_path, write_text
from ms2a.benchmark.plan import known_methods

matplotlib.use("Agg")

KINDS = ("bound", "baseline", "method", "control")
COLUMNS = ("target mAP", "target mAP_50", "source mAP", "source mAP_50")
DECIDING = "target mAP_50"
"""The score that the best baseline is chosen by and that differences are of."""


def write_report(lines: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Writes ``report.md`` and a plot for each task and number of annotated images.

    Args:
        lines: from :func:`ms2a.benchmark.run.read_results`.
        folder: where to.

    Returns:
        the text of the report.
    """
    groups = sorted({(*_task(line), line["shots"]) for line in lines if line["kind"] != "bound"})
    sections = []
    for source, target, shots in groups:
        rows = summarise([line for line in lines if (*_task(line), line["shots"]) == (source, target, shots)])
        title = f"{source} → {target}, {shots} annotated images"
        sections.append(_table(title, rows))
        _plot(rows, title, folder / f"{source}_to_{target}_{shots}.png")
    for shots in sorted({shots for *_, shots in groups}):
        sections += _controls_table(shots, [line for line in lines if line["shots"] == shots])
    text = "\n".join(sections)
    write_text(text, folder / "report.md")
    return text


def summarise(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a method: means, deviations and the paired difference to the best baseline.

    Args:
        lines: results of one task and one number of annotated images.

    Returns:
        rows with ``title``, ``kind``, ``seeds``, for each score ``(mean, standard deviation)``, ``difference`` (mean,
        half of the 95 % interval by Student's t over the seeds both have; NaN with fewer than two) and ``seconds``,
        by kind and then by rising score.
    """
    by_method: dict[str, dict[int, Mapping]] = {}
    for line in lines:
        by_method.setdefault(line["method"], {})[line["seed"]] = line
    baselines = [name for name, runs in by_method.items() if _any(runs)["kind"] == "baseline"]
    best = max(baselines, key=lambda name: np.mean(_scores(by_method[name], DECIDING)), default=None)
    rows = []
    for name, runs in by_method.items():
        line = _any(runs)
        rows.append(
            {
                "method": name,
                "title": line["title"],
                "kind": line["kind"],
                "seeds": len(runs),
                "difference": paired_difference(runs, by_method[best]) if best and best != name else None,
                "seconds": float(np.mean([run["adaptation_seconds"] for run in runs.values()])),
                **{column: _mean_and_deviation(_scores(runs, column)) for column in COLUMNS},
            }
        )
    return sorted(rows, key=lambda row: (KINDS.index(row["kind"]), row[DECIDING][0]))


def paired_difference(runs: Mapping[Any, Mapping], others: Mapping[Any, Mapping]) -> tuple[float, float]:
    """Mean difference of the deciding score over common keys, and half of its 95 % interval (Student's t).

    Args:
        runs: lines by what pairs them, e.g. the seed.
        others: likewise; their scores are subtracted.
    """
    differences = [runs[key]["metrics"][DECIDING] - others[key]["metrics"][DECIDING] for key in runs if key in others]
    if len(differences) < 2:
        return (differences[0] if differences else float("nan")), float("nan")
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    return float(np.mean(differences)), float(high - low) / 2


def against_controls(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each method has over each of its controls, paired by task and seed.

    A control's name begins with the name of its method.

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
        for task in sorted(set(map(_task, lines))):
            own = {key: line for key, line in by_method[its].items() if key[0] == task}
            row[task] = paired_difference(own, controls)
        row["all"] = paired_difference(by_method[its], controls)
        row["pairs"] = len(set(controls) & set(by_method[its]))
        rows.append(row)
    return sorted(rows, key=lambda row: (row["method"], row["control"]))


def _task(line: Mapping[str, Any]) -> tuple[str, str]:
    return line["source"], line["task"]


def _any(runs: Mapping[int, Mapping]) -> Mapping:
    return next(iter(runs.values()))


def _scores(runs: Mapping[int, Mapping], column: str) -> list[float]:
    return [run["metrics"].get(column, float("nan")) for run in runs.values()]


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _table(title: str, rows: Sequence[Mapping]) -> str:
    heads = ["", "seeds", "target mAP", "target mAP50", "source mAP", "source mAP50"]
    table, kind = [[*heads, "mAP50 to best baseline", "adaptation"]], None
    for row in rows:
        if row["kind"] != kind:
            kind = row["kind"]
            table.append([f"**{kind}**", *[""] * 7])
        difference = "best" if row["difference"] is None else _signed(row["difference"])
        scores = [_spread(row[column]) for column in COLUMNS]
        table.append([row["title"], row["seeds"], *scores, difference, f"{row['seconds']:.0f} s"])
    return _markdown(title, table)


def _controls_table(shots: int, lines: Sequence[Mapping]) -> list[str]:
    rows = against_controls(lines)
    if not rows:
        return []
    tasks = sorted(set(map(_task, lines)))
    table = [["method", "control", *(target for _, target in tasks), "all tasks", "pairs"]]
    for row in rows:
        differences = [_signed(row[column]) for column in (*tasks, "all")]
        table.append([row["method"], row["control"], *differences, row["pairs"]])
    return [_markdown(f"Method minus control, target mAP50, {shots} annotated images", table)]


def _markdown(title: str, table: list[list]) -> str:
    return f"### {title}\n\n{GithubFlavoredMarkdownTable(table).table}\n"


def _signed(difference: tuple[float, float]) -> str:
    return "–" if np.isnan(difference[0]) else _spread(difference, "+.1f")


def _spread(value: tuple[float, float], form: str = ".1f") -> str:
    mean, spread = (
        "–" if np.isnan(number) else format(number, how) for number, how in zip(value, (form, ".1f"), strict=True)
    )
    return f"{mean} ± {spread}"


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
