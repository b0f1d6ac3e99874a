"""What methods have over one of them, over any number of tasks and files of results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ms2a.benchmark.groups import Group, belongs, groups_of, of_any_task
from ms2a.benchmark.lines import KINDS, SCORES
from ms2a.benchmark.run import read_results
from ms2a.benchmark.statistics import mean_and_deviation, paired_difference
from ms2a.benchmark.tables import markdown, signed, with_spread
from ms2a.errors import UserError

FEWEST = 2  # numbers of labels that a mean is of


class Scores(NamedTuple):
    """A method's scores by what pairs them with another's: task and seed."""

    title: str
    of: dict[tuple[str, int], float]

    def on(self, task: str) -> dict[tuple[str, int], float]:
        """Those of one task."""
        return {key: score for key, score in self.of.items() if key[0] == task}


Table = dict[str, Scores]  # by the method's name


def read_tasks(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The lines of several files; where two tasks have the same target, their names tell the file too.

    Args:
        files: of JSON lines.

    Raises:
        UserError: a file that cannot be read or holds no results.
    """
    lines = [(path, line) for path in files for line in read_results(path)]
    found: dict[str, set] = {}
    for path, line in lines:
        found.setdefault(line["task"], set()).add((path, line["source"]))
    return [
        {**line, "task": f"{line['source']} → {line['task']} ({path.stem})"} if len(found[line["task"]]) > 1 else line
        for path, line in lines
    ]


def asked_for(
    lines: Sequence[Mapping[str, Any]],
    methods: Sequence[str] | None = None,
    shots: Sequence[int] | None = None,
    iterations: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Mapping[str, Any]]:
    """The lines with the given values, None for all. What has no budget, as ``source_only``, is of every budget.

    Raises:
        UserError: a method, number of annotated images or budget without a line, or no line with all that is asked for.
    """
    for argument, asked, column in (
        ("methods", methods, "method"), ("shots", shots, "shots"), ("iterations", iterations, "iterations")
    ):  # fmt: skip
        known = {line[column] for line in lines} - {None}
        if unknown := set(asked or ()) - known:
            names = " ".join(map(str, sorted(unknown)))
            raise UserError(f"`{argument}={names}`: the results have no line of it; they have {_listed(known)}")
    chosen = [
        line
        for line in lines
        if (methods is None or line["method"] in methods)
        and (shots is None or line["shots"] in shots)
        and (iterations is None or line["iterations"] in (*iterations, None))
        and (seeds is None or line["seed"] in seeds)
    ]
    if not chosen:
        seeds_there = _listed({line["seed"] for line in lines})
        raise UserError(f"the results have no line with all that is asked for; their seeds are {seeds_there}")
    return chosen


def _listed(values: Iterable) -> str:
    return ", ".join(map(str, sorted(values)))


def tables_against(other: str, lines: Sequence[Mapping[str, Any]], metric: str = "mAP") -> str:
    """Scores of all methods and what they have over one, for each start, number of labels and budget.

    Where there are several numbers of labels, a table of the means over them follows, one number a task and seed; where
    there are several budgets, one of what the larger gain.

    Args:
        other: the method that the others are compared with.
        lines: from :func:`read_tasks`; draws for choosing are left out.
        metric: one of ``SCORES``; lines without it are left out.

    Raises:
        UserError: no line is of ``other``.
    """
    lines = [line for line in lines if not line.get("development") and SCORES[metric] in line["metrics"]]
    if other not in (known := {line["method"] for line in lines}):
        raise UserError(f"`against={other}`: the results have no line of it; they have {_listed(known)}")
    groups = groups_of([of_any_task(line) for line in lines if line["kind"] != "bound"])
    alike = {group: [line for line in lines if belongs(of_any_task(line), group)] for group in groups}
    tables = {group: _scores(alike[group], metric) for group in groups}
    titled = [(group.conditions, table) for group, table in tables.items()] + list(_means_over_labels(tables))
    sections = [_markdown(f"{metric}, {title}", other, table) for title, table in titled]
    return "\n".join(sections + [markdown(f"{metric}, {title}", rows) for title, rows in _gains_of_training(tables)])


def _scores(lines: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """In the order of the file, bounds last."""
    table: Table = {}
    for line in sorted(lines, key=lambda line: KINDS.index(line["kind"]) or len(KINDS)):
        scores = table.setdefault(line["method"], Scores(line["title"], {}))
        scores.of[line["task"], line["seed"]] = line["metrics"][SCORES[metric]]
    return table


def _means_over_labels(tables: Mapping[Group, Table]) -> Iterator[tuple[str, Table]]:
    """Of the tasks and seeds that have all numbers of labels."""
    for alike in dict.fromkeys(group._replace(shots=0) for group in tables):
        found = {group.shots: table for group, table in tables.items() if group._replace(shots=0) == alike}
        if len(found) < FEWEST:
            continue
        methods = [name for name in found[min(found)] if all(name in table for table in found.values())]
        means = {name: _mean([table[name] for table in found.values()]) for name in methods}
        yield f"mean over {', '.join(map(str, found))} annotated images, {alike.but_labels}", means


def _mean(scores: Sequence[Scores]) -> Scores:
    common = set.intersection(*(set(each.of) for each in scores))
    return Scores(scores[0].title, {key: float(np.mean([each.of[key] for each in scores])) for key in sorted(common)})


def _gains_of_training(tables: Mapping[Group, Table]) -> Iterator[tuple[str, list[list]]]:
    """What each budget has over the next smaller one."""
    for alike in dict.fromkeys(group._replace(iterations=0) for group in tables):
        groups = sorted(group for group in tables if group._replace(iterations=0) == alike)
        for less, more in zip(groups, groups[1:], strict=False):
            before, after = tables[less], tables[more]
            tasks = _tasks(after)
            rows = [
                [scores.title, *_differences(scores, before[name], tasks)]
                for name, scores in after.items()
                if name in before and scores.of != before[name].of
            ]
            yield f"{more.conditions}, minus {less.iterations} iterations", [_heads(tasks), *rows]


def _markdown(title: str, other: str, table: Table) -> str:
    """A row a method: for each task its scores and, in brackets, what it has over the other."""
    tasks, base = _tasks(table), table.get(other, Scores(other, {}))
    rows = [_heads(tasks)]
    for name, scores in table.items():
        *over, over_all, pairs = _differences(scores, base, tasks) if name != other else [""] * (len(tasks) + 2)
        cells = [_cell([*scores.on(task).values()], difference) for task, difference in zip(tasks, over, strict=True)]
        rows.append([scores.title, *cells, over_all, pairs])
    return markdown(f"{title}; in brackets and over all tasks minus {base.title}", rows)


def _cell(scores: Sequence[float], difference: str) -> str:
    text = with_spread(mean_and_deviation(scores)) if scores else ""
    return f"{text} ({difference})" if difference not in ("", "–") else text


def _differences(scores: Scores, others: Scores, tasks: Sequence[str]) -> list[str]:
    """Paired: of each task, of all of them, and how many pairs those are."""
    parts = [signed(paired_difference(scores.on(task), others.of)) for task in tasks]
    return [*parts, signed(paired_difference(scores.of, others.of)), str(len(set(scores.of) & set(others.of)))]


def _heads(tasks: Sequence[str]) -> list[str]:
    return ["", *tasks, "all tasks", "pairs"]


def _tasks(table: Table) -> list[str]:
    """In the order of the files."""
    return list(dict.fromkeys(task for scores in table.values() for task, _ in scores.of))
