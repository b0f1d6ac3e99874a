"""The score against the number of labels: the best baseline, MS2A as released, and the form that leads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ms2a.artefacts import atomic_path
from ms2a.benchmark.statistics import mean_and_deviation

RELEASED = "ms2a"
SCORE = "target mAP"


def label_curves(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves of one task, detector and budget.

    Args:
        lines: results of any numbers of labels.

    Returns:
        for the baseline and the method, other than the released form, that have the highest mean over all numbers of
        labels, and for the released form: ``title``, ``kind`` and ``scores``, for each number of labels mean and
        standard deviation of the mAP over seeds. Methods that lack a number of labels are left out, but for the
        released form, and none is returned of fewer than two numbers.
    """
    found: dict[str, dict[int, list[float]]] = {}
    about = {line["method"]: line for line in lines}
    for line in lines:
        if line["iterations"] is not None and line["kind"] in ("baseline", "method"):
            found.setdefault(line["method"], {}).setdefault(line["shots"], []).append(line["metrics"][SCORE])
    shots = set().union(*found.values())
    whole = {name: scores for name, scores in found.items() if set(scores) == shots}
    if len(shots) < 2:
        return []
    chosen = []
    for kind in ("baseline", "method"):
        names = [name for name in whole if about[name]["kind"] == kind and name != RELEASED]
        means = {name: np.mean([np.mean(scores) for scores in whole[name].values()]) for name in names}
        chosen += [max(means, key=means.get)] if means else []
    chosen += [RELEASED] * (RELEASED in found)
    return [
        {
            "title": about[name]["title"],
            "kind": about[name]["kind"],
            "scores": {count: mean_and_deviation(found[name][count]) for count in sorted(found[name])},
        }
        for name in chosen
    ]


def labels_worth(curve: Mapping[int, tuple[float, float]], score: float) -> float:
    """The number of labels with which a curve reaches a score, between its points in proportion to their logarithms.

    Args:
        curve: number of labels → (mean, deviation), two or more.
        score: to reach.

    Returns:
        the number; infinite where the curve stays below, its first where it starts above.
    """
    counts = sorted(curve)
    means = np.maximum.accumulate([curve[count][0] for count in counts])  # more labels are never worth less
    if score > means[-1]:
        return float("inf")
    place = int(np.searchsorted(means, score))
    if place == 0:
        return float(counts[0])
    share = (score - means[place - 1]) / (means[place] - means[place - 1])
    low, high = np.log(counts[place - 1]), np.log(counts[place])
    return float(np.exp(low + share * (high - low)))


def plot_curves(curves: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Draws the curves with their deviations."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for curve in curves:
        counts = list(curve["scores"])
        means, deviations = zip(*curve["scores"].values(), strict=True)
        axes.errorbar(counts, means, np.nan_to_num(deviations), label=curve["title"], marker="o", capsize=3)
    axes.set_xscale("log")
    ticks = sorted(set().union(*(curve["scores"] for curve in curves)))
    axes.set_xticks(ticks, ticks)
    axes.minorticks_off()
    axes.set_xlabel("annotated target images")
    axes.set_ylabel(f"{SCORE} (mean and standard deviation over seeds)")
    axes.set_title(title)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)
