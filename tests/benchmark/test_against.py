"""Differences of methods over tasks, numbers of labels, budgets and files of results."""

import json

import numpy as np
import pytest

from ms2a.benchmark.against import asked_for, read_tasks, tables_against
from ms2a.errors import UserError
from tests.tiny import result_line


def lines_of(method, scores, **more):
    """One line a seed, from 1 on; scores are mAP50, mAP is half of it."""
    return [dict(result_line(method, seed, score), **more) for seed, score in enumerate(scores, start=1)]


def rows_of(text):
    """Title → first cell → the other cells."""
    tables = {}
    for part in text.split("### ")[1:]:
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines()[2:] if "|" in line]
        tables[part.splitlines()[0]] = {row[0]: row[1:] for row in rows if not row[0].startswith("-")}
    return tables


def test_differences_are_paired_by_task_and_seed_over_all_tasks():
    lines = lines_of("joint", (50, 54, 52)) + lines_of("ours", (56, 56, 62))
    lines += lines_of("joint", (20, 30), task="u") + lines_of("ours", (20,), task="u")
    ((title, table),) = rows_of(tables_against("joint", lines)).items()
    assert title.startswith("mAP, 10 annotated images, 240 iterations, small detector from random weights; ")
    assert title.endswith("minus JOINT")
    assert table["JOINT"] == ["26.0 ± 1.0", "12.5 ± 3.5", "", ""]
    # Differences 3, 1, 5 of the one task: t(0.975, 2) = 4.303; 0 of the other; t(0.975, 3) = 3.182 of all four.
    assert table["OURS"][:2] == ["29.0 ± 1.7 (+3.0 ± 5.0)", "10.0 ± – (+0.0 ± –)"]
    assert table["OURS"][2:] == [f"+2.2 ± {3.182 * np.std([3, 1, 5, 0], ddof=1) / 2:.1f}", "4"]


def test_budgets_have_tables_of_their_own_and_one_of_what_the_longer_gains():
    base = lines_of("source_only", (10, 12), iterations=None)
    lines = base + lines_of("joint", (50, 54)) + lines_of("joint", (60, 60), iterations=720)
    tables = rows_of(tables_against("joint", lines))
    gain = tables["mAP, 10 annotated images, 720 iterations, small detector from random weights, minus 240 iterations"]
    assert gain == {"": ["t", "all tasks", "pairs"], "JOINT": ["+4.0 ± 12.7", "+4.0 ± 12.7", "2"]}
    short, long = (table["SOURCE_ONLY"] for title, table in tables.items() if "in brackets" in title)
    assert (short[0], long[0]) == ("5.5 ± 0.7 (-20.5 ± 6.4)", "5.5 ± 0.7 (-24.5 ± 6.4)")


def test_means_over_labels_are_of_draws_that_have_all_of_them():
    lines = [*lines_of("joint", (20, 22, 99), shots=5), *lines_of("joint", (40, 42), shots=30)]
    lines += [*lines_of("ours", (24, 26, 0), shots=5), *lines_of("ours", (44, 42), shots=30)]
    lines += lines_of("few", (90, 90), shots=5)
    tables = rows_of(tables_against("joint", lines))
    ((_, means),) = (item for item in tables.items() if item[0].startswith("mAP, mean over 5, 30 annotated images"))
    assert set(means) == {"", "JOINT", "OURS"}
    # One draw has 2 and 2, the other 2 and 0.
    assert means["OURS"] == ["17.0 ± 0.0 (+1.5 ± 6.4)", "+1.5 ± 6.4", "2"]


def test_development_draws_and_lines_without_the_score_are_left_out():
    lines = lines_of("joint", (50, 54)) + lines_of("joint", (99,), development=True)
    lines[1] = {**lines[1], "metrics": {"target mAP": 1.0}}
    ((_, table),) = rows_of(tables_against("joint", lines, "source-mAP")).items()
    assert table["JOINT"][0] == "30.0 ± –"


def test_tasks_with_one_target_are_told_apart_by_their_files(tmp_path):
    for name in "one", "six":
        text = "".join(json.dumps(line) + "\n" for line in lines_of("joint", (50, 54)))
        (tmp_path / f"{name}.jsonl").write_text(text)
    files = [tmp_path / "one.jsonl", tmp_path / "six.jsonl"]
    assert {line["task"] for line in read_tasks(files)} == {"s → t (one)", "s → t (six)"}
    assert {line["task"] for line in read_tasks(files[:1])} == {"t"}


def test_a_method_without_lines_is_refused():
    with pytest.raises(UserError, match="against=weak.*they have joint, ours"):
        tables_against("weak", lines_of("joint", (50,)) + lines_of("ours", (50,)))


def test_only_what_is_asked_for_is_shown_and_what_has_no_line_is_refused():
    lines = lines_of("joint", (50, 52)) + lines_of("ours", (50,), shots=30) + lines_of("joint", (60,), iterations=720)
    lines += lines_of("source_only", (20,), iterations=None)
    assert asked_for(lines) == lines
    chosen = asked_for(lines, iterations=[720], seeds=[1])
    assert [(line["method"], line["iterations"]) for line in chosen] == [("joint", 720), ("source_only", None)]
    assert len(asked_for(lines, methods=["ours"], shots=[30])) == 1
    with pytest.raises(UserError, match="methods=jont`: the results have no line of it; they have joint, ours, source"):
        asked_for(lines, methods=["jont", "ours"])
    with pytest.raises(UserError, match="shots=5`.*they have 10, 30"):
        asked_for(lines, shots=[5, 10])
    with pytest.raises(UserError, match="iterations=2160`.*they have 240, 720"):
        asked_for(lines, iterations=[2160])
    with pytest.raises(UserError, match="no line with all that is asked for; their seeds are 1, 2"):
        asked_for(lines, seeds=[7])
