"""Plots by matplotlib as SVG for a page: no script, colours and letters of the page around them."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ms2a.analysis.error_analysis import BACKGROUND, DUPLICATE, LOOSE_BOX, MISSED

# What matplotlib is told → what the page makes of it, by day and by night.
INK, GRID, BEFORE, AFTER, *SERIES = "#010101", "#010102", "#010103", "#010104", *(f"#0102{n:02x}" for n in range(1, 7))
_VARIABLES = {INK: "--ink-2", GRID: "--line", BEFORE: "--before", AFTER: "--after"}
_VARIABLES |= {colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)}
SIZE = (4.6, 3.0)
_SETTINGS = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "ms2a",
    "text.parse_math": False,  # names may hold dollars
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
_PLURALS = {
    DUPLICATE: "second boxes",
    LOOSE_BOX: "loose boxes",
    BACKGROUND: "boxes on the background",
    MISSED: "missed objects",
}
_SMOOTH = 0.15
"""Share of a stage's points that a point of the smoothed line is the mean of."""


def precision_recall_plot(runs: Mapping[str, Mapping[float, np.ndarray]], name: str) -> Markup:
    """Precision over recall, mean over classes.

    Args:
        runs: for each run, before and after or one alone, the precision (101,) at each IoU.
        name: unique on the page.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure()
        recall = np.linspace(0, 1, 101)
        for colour, (run, curves) in zip([BEFORE, AFTER][-len(runs) :], runs.items(), strict=True):
            for line, (iou, precision) in zip(("-", ":"), curves.items(), strict=False):
                axes.plot(recall, precision, line, color=colour, label=f"{run}, IoU {iou:.2f}")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(loc="upper right", fontsize=7.5)
        return _svg(figure, name)


def class_curves_plot(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], name: str) -> Markup:
    """Precision over recall at IoU 0.50 of each class, small, beside each other."""
    columns = min(3, len(after))
    rows = -(-len(after) // columns)
    with matplotlib.rc_context(_SETTINGS | {"font.size": 7.5, "lines.linewidth": 1.4}):
        figure = Figure(figsize=(2.3 * columns, 1.7 * rows + 0.2), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        recall = np.linspace(0, 1, 101)
        for axes, label in zip(grid.flat, after, strict=False):
            for colour, curves in ((BEFORE, before), (AFTER, after)):
                if label in curves:
                    axes.plot(recall, curves[label], color=colour)
            axes.set_title(label[:24], fontsize=8)
            axes.set(xlim=(0, 1), ylim=(0, 1.02))
        for axes in list(grid.flat)[len(after) :]:
            axes.set_axis_off()
        return _svg(figure, name)


def losses_plot(rows: Sequence[Mapping[str, Any]], name: str) -> Markup:
    """Losses of one stage over its epochs: the points as they were logged, pale, and their running mean.

    Args:
        rows: from :func:`ms2a.engine.training_csv.read_training`.
        name: unique on the page.
    """
    rows = [row for row in rows if row["mode"] == "train" and "loss" in row]
    parts = list(dict.fromkeys(key for row in rows for key in row if key.startswith("loss")))
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure()
        parts.sort(key=lambda part: part != "loss")
        # More kinds than colours share one: the last.
        colours = [AFTER, *SERIES, *[SERIES[-1]] * len(parts)]
        for colour, part in zip(colours, parts, strict=False):
            epochs, values = np.array([(row["epoch"], row[part]) for row in rows if part in row]).T
            axes.plot(epochs, values, color=colour, alpha=0.25, linewidth=1)
            label = "total" if part == "loss" else part.removeprefix("loss_")
            width = 2 if part == "loss" else 1.2
            axes.plot(epochs, running_mean(values), color=colour, label=label, linewidth=width)
        axes.set(xlabel="epoch", ylabel="loss")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7.5, ncols=2)
        return _svg(figure, name)


def errors_plot(runs: Mapping[str, Mapping[str, float]], name: str) -> Markup:
    """What each kind of error costs, points of mAP50, before and after."""
    kinds = list(dict.fromkeys(kind for errors in runs.values() for kind in errors))
    with matplotlib.rc_context(_SETTINGS | {"axes.grid.axis": "x"}):
        figure, axes = _figure((SIZE[0], 0.5 * len(kinds) * max(len(runs), 1.3) ** 0.5 + 0.9))
        height = 0.8 / len(runs)
        for number, (colour, (run, errors)) in enumerate(zip([BEFORE, AFTER][-len(runs) :], runs.items(), strict=True)):
            places = np.arange(len(kinds)) + (number - (len(runs) - 1) / 2) * height
            values = [errors.get(kind, 0.0) for kind in kinds]
            bars = axes.barh(places, values, height * 0.9, color=colour, label=run)
            texts = [f"{errors[kind]:+.1f}" if kind in errors else "unknown" for kind in kinds]
            axes.bar_label(bars, texts, padding=3, fontsize=7.5)
        axes.set_yticks(range(len(kinds)), [f"without {_PLURALS.get(kind, kind)}" for kind in kinds])
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("points of mAP50 that would be gained")
        if len(runs) > 1:
            axes.legend(fontsize=7.5, loc="lower right")
        return _svg(figure, name)


def running_mean(values: Sequence[float]) -> np.ndarray:
    """Mean over a window around each of N points, narrower at the ends: (N,)."""
    half = int(len(values) * _SMOOTH / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach = np.minimum(np.minimum(index, len(values) - 1 - index), half)
    return (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)


def _figure(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, name: str) -> Markup:
    """The figure as an element of a page; matplotlib has escaped what is written in it."""
    file = io.StringIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    with warnings.catch_warnings():
        # The page's own letters are shown, whatever matplotlib's font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg ") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    head, rest = text.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    text = f"{head}>{rest}".replace('id="', f'id="{name}-').replace("url(#", f"url(#{name}-")
    text = text.replace('xlink:href="#', f'xlink:href="#{name}-')
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text)
