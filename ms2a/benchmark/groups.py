"""What runs of the benchmark have in common that are compared with each other."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ms2a.benchmark.lines import USUAL, options_of


class Group(NamedTuple):
    """What runs have in common that are compared with each other."""

    development: bool
    source: str
    target: str
    detector: str
    weights: str
    shots: int
    iterations: int
    options: str

    @property
    def title(self) -> str:
        """Of its table."""
        return f"{self.source} → {self.target}, {self.conditions}"

    @property
    def conditions(self) -> str:
        """What the runs of all tasks may have in common."""
        labels = f"{self.shots} annotated images" if self.shots else "mAP by annotated images"
        return f"{labels}, {self.but_labels}"

    @property
    def but_labels(self) -> str:
        """The conditions without the number of annotated images."""
        start = f"{self.detector} detector from {self.weights or 'random weights'}"
        budget = [f"{self.iterations} iterations"] if self.iterations else []
        draw = ["development draw, tested on a part of the pool"] if self.development else []
        options = [f"with {self.options}"] if self.options else []
        return ", ".join([*budget, start, *options, *draw])

    @property
    def title_of_plot(self) -> str:
        """In two lines."""
        return self.title.replace(" images, ", " images\n", 1)

    @property
    def file_name(self) -> str:
        """Of its plot, without its ending; it does not say what is usual."""
        own = dict(detector=self.detector, weights=self.weights or None, iterations=self.iterations)
        parts = [Path(str(value)).stem for name, value in own.items() if value not in (USUAL[name], 0)]
        parts = [f"{self.source}_to_{self.target}_{self.shots or 'labels'}", *parts]
        parts += [hashlib.sha256(self.options.encode()).hexdigest()[:8]] if self.options else []
        return "_".join(parts + ["development"] * self.development)


def group_of(line: Mapping[str, Any]) -> Group:
    """The group of a line; its budget is 0 where the line has none."""
    start = line["detector"] or "own", line["weights"] or ""
    budget = line["shots"], line["iterations"] or 0, options_of(line)
    return Group(bool(line.get("development")), line["source"], line["task"], *start, *budget)


def groups_of(lines: Sequence[Mapping[str, Any]]) -> list[Group]:
    """All groups in order; what has no budget makes one only where nothing else does."""
    found = set(map(group_of, lines))
    budgets = {group._replace(iterations=0) for group in found if group.iterations}
    return sorted(group for group in found if group.iterations or group not in budgets)


def belongs(line: Mapping[str, Any], group: Group) -> bool:
    """Whether a line is of a group; what has no budget is of those of every budget."""
    own = group_of(line)
    return own == group or (not own.iterations and own == group._replace(iterations=0))


def of_any_task(line: Mapping[str, Any]) -> dict[str, Any]:
    """The line without its task: its group is of what the runs of all tasks may have in common."""
    return {**line, "source": "", "task": ""}
