"""Tables and plots of the benchmark's results."""

import json
import re

import numpy as np
import pytest

from ms2a.benchmark.curve import label_curves, labels_worth
from ms2a.benchmark.report import against_controls, summarise, write_report
from ms2a.benchmark.run import _keep, missing_runs, read_results, read_wanted
from ms2a.benchmark.statistics import paired_difference
from tests.tiny import result_line

LINES = [result_line("joint", seed, score) for seed, score in ((1, 50.0), (2, 54.0), (3, 52.0))]
LINES += [result_line("weak", seed, 40.0) for seed in (1, 2, 3)]
LINES += [result_line("ours", seed, score, "method") for seed, score in ((1, 53.0), (2, 55.0), (3, 57.0))]


def test_summary_against_hand_computed_values():
    rows = {row["method"]: row for row in summarise(LINES)}
    assert list(rows) == ["weak", "joint", "ours"]
    assert rows["joint"]["target mAP_50"] == pytest.approx((52.0, 2.0))
    assert rows["joint"]["difference"] is None
    # Differences 3, 1, 5: mean 3, standard error 2 / sqrt(3), t(0.975, 2) = 4.303.
    assert rows["ours"]["difference"] == pytest.approx((3.0, 4.303 * 2 / np.sqrt(3)), rel=1e-3)


def test_differences_are_of_common_seeds_only():
    mean, half = paired_difference({1: 53.0, 9: 99.0}, {1: 50.0, 2: 54.0, 3: 52.0})
    assert mean == 3.0 and np.isnan(half)


def test_a_method_is_compared_with_its_own_controls():
    lines = [result_line("m", 1, 50.0), result_line("m", 2, 52.0), result_line("m_style", 1, 60.0)]
    lines += [result_line("m_noise", 1, 49.0), result_line("m_noise", 2, 49.0), result_line("m_style_noise", 1, 58.0)]
    lines += [dict(result_line("m", 1, 40.0), task="u"), dict(result_line("m_noise", 1, 41.0), task="u")]
    for item in lines:
        item["kind"] = "control" if item["method"].endswith("noise") else "method"
    rows = {row["control"]: row for row in against_controls(lines)}
    assert rows["M_NOISE"]["method"] == "M" and rows["M_STYLE_NOISE"]["method"] == "M_STYLE"
    # Differences 1 and 3 on the one task, -1 on the other.
    assert rows["M_NOISE"]["s", "t"] == pytest.approx((2.0, 12.706), rel=1e-3)
    assert rows["M_NOISE"]["s", "u"][0] == -1.0
    assert rows["M_NOISE"]["all"] == pytest.approx((1.0, 4.303 * 2 / np.sqrt(3)), rel=1e-3)
    assert rows["M_NOISE"]["pairs"] == 3


def without_padding(text):
    return re.sub(" +", " ", text)


def test_the_report_has_a_table_and_a_plot_for_each_task(tmp_path):
    text = write_report(LINES + [dict(item, shots=30) for item in LINES[:3]], tmp_path)
    assert "### s → t, 10 annotated images, 240 iterations, small detector from random weights\n" in text
    assert "### s → t, 30 annotated images" in text
    row = "| OURS | 3 | 27.5 ± 1.0 | 55.0 ± 2.0 | 30.0 ± 0.0 | 80.0 ± 0.0 | +1.5 ± 2.5 | +3.0 ± 5.0 | 60 s |"
    assert row in without_padding(text)
    assert (tmp_path / "report.md").read_text() == text
    assert (tmp_path / "s_to_t_10.png").stat().st_size > 5000


def test_targets_of_two_sources_are_two_tasks(tmp_path):
    text = write_report(LINES + [dict(item, source="banana") for item in LINES[:2]], tmp_path)
    assert "### s → t, 10 annotated images" in text and "### banana → t, 10 annotated images" in text
    _keep(LINES[0], tmp_path / "results.jsonl")
    _keep(dict(LINES[0], source="banana"), tmp_path / "results.jsonl")
    assert len(read_results(tmp_path / "results.jsonl")) == 2
    assert "| JOINT | 1 | 26.0 ± – |" in without_padding(write_report([LINES[2]], tmp_path))


def test_a_control_of_a_method_that_was_not_run_is_no_other_methods():
    lines = [result_line("ms2a", 1, 50.0, "method"), result_line("ms2a_colour_random_memory", 1, 58.0, "control")]
    assert against_controls(lines) == []
    assert len(against_controls([*lines, result_line("ms2a_colour", 1, 62.0, "method")])) == 1


def test_budgets_starts_and_the_development_draw_are_not_mixed(tmp_path):
    base = dict(result_line("source_only", 1, 20.0), iterations=None)
    longer = [dict(item, iterations=720) for item in LINES[:3]]
    nano = [dict(item, detector="nano", weights="coco.pth") for item in LINES[:3]]
    drawn = [dict(result_line("joint", 0, 99.0), development=True)]
    text = without_padding(write_report([*LINES, base, *longer, *nano, *drawn], tmp_path))
    tables = {part.splitlines()[0]: part for part in text.split("### ")[1:]}
    assert [title for title in tables if title.startswith("s → t")] == [
        "s → t, 10 annotated images, 240 iterations, nano detector from coco.pth",
        "s → t, 10 annotated images, 240 iterations, small detector from random weights",
        "s → t, 10 annotated images, 720 iterations, small detector from random weights",
        "s → t, 10 annotated images, 240 iterations, small detector from random weights, development draw, tested on a "
        "part of the pool",
    ]
    # What has no budget stands in the tables of all budgets of its start.
    assert ["SOURCE_ONLY" in table for title, table in tables.items() if title.startswith("s → t")] == [0, 1, 1, 0]
    plots = {path.name for path in tmp_path.glob("*.png")}
    assert plots == {f"s_to_t_10{end}.png" for end in ("", "_nano_coco", "_720", "_development")}


def test_what_has_no_budget_alone_has_a_table_too(tmp_path):
    text = write_report([dict(result_line("source_only", 1, 20.0), iterations=None)], tmp_path)
    assert "### s → t, 10 annotated images, small detector from random weights\n" in text


def test_controls_are_compared_within_a_budget_and_a_start(tmp_path):
    lines = [result_line("m", seed, 50.0 + seed, "method") for seed in (1, 2)]
    lines += [result_line("m_noise", seed, 40.0, "control") for seed in (1, 2)]
    lines += [dict(line, iterations=720, metrics=LINES[0]["metrics"]) for line in lines]
    text = without_padding(write_report(lines, tmp_path))
    start = "10 annotated images, {} iterations, small detector from random weights"
    title = f"Method minus control, target mAP50, {start}"
    tables = {part.split("\n")[0]: part for part in text.split("\n### ")}
    assert "+11.5 ± 6.4" in tables[title.format(240)] and "+0.0 ± " in tables[title.format(720)]


def curve_lines(method, scores, kind="baseline"):
    return [dict(result_line(method, seed, 2 * score, kind), shots=shots) for shots, score in scores for seed in (1, 2)]


def test_curves_are_of_the_best_baseline_the_leading_form_and_the_released_one(tmp_path):
    lines = [
        *curve_lines("joint", [(10, 20), (50, 40), (200, 50)]),
        *curve_lines("weak", [(10, 10), (50, 20), (200, 30)]),
    ]
    lines += curve_lines("partly", [(10, 90), (50, 90)])
    lines += curve_lines("ms2a", [(10, 25), (50, 30), (200, 35)], "method")
    lines += curve_lines("ms2a_more", [(10, 40), (50, 45), (200, 50)], "method")
    lines += curve_lines("ms2a_more_noise", [(10, 99), (50, 99), (200, 99)], "control")
    curves = label_curves(lines)
    assert [curve["title"] for curve in curves] == ["JOINT", "MS2A_MORE", "MS2A"]
    assert curves[0]["scores"][50] == (40.0, 0.0)
    text = write_report(lines, tmp_path)
    assert "MS2A_MORE with 10 scores as JOINT with 50." in text
    assert (tmp_path / "s_to_t_labels.png").stat().st_size > 5000
    assert label_curves([line for line in lines if line["shots"] == 10]) == []
    short = [line for line in lines if (line["method"], line["shots"]) != ("ms2a", 50)]
    assert list(label_curves(short)[-1]["scores"]) == [10, 200]
    assert "| MS2A | 25.0 ± 0.0 | | 35.0 ± 0.0 |" in without_padding(write_report(short, tmp_path))


def test_labels_are_counted_between_the_points_of_a_curve():
    curve = {10: (20.0, 1.0), 40: (40.0, 1.0), 50: (38.0, 1.0), 160: (50.0, 1.0)}
    assert labels_worth(curve, 30.0) == pytest.approx(20.0)  # half of the way from 10 to 40 by their logarithms
    assert labels_worth(curve, 40.0) == pytest.approx(40.0)
    assert labels_worth(curve, 10.0) == 10.0
    assert labels_worth(curve, 51.0) == np.inf


def test_the_report_says_what_is_missing(tmp_path):
    names = ("source", "task", "shots", "method", "seed", "iterations", "detector", "weights")
    wanted = [
        {name: item[name] for name in names} for item in (*LINES, result_line("late", 1, 0), result_line("late", 2, 0))
    ]
    (tmp_path / "results_wanted.json").write_text(json.dumps(wanted))
    missing = missing_runs(LINES, read_wanted(tmp_path / "results.jsonl"))
    text = without_padding(write_report(LINES, tmp_path, missing))
    assert "### Missing: 2 runs that were asked for" in text
    assert "| s | t | small | – | 10 | 240 | late | – | 1 2 |" in text
    assert "Missing" not in write_report(LINES, tmp_path, missing_runs(LINES, wanted[:-2]))


def test_runs_with_options_are_compared_among_themselves(tmp_path):
    faster = [dict(item, cfg_options={"lr": 0.002}, metrics=dict(item["metrics"])) for item in LINES]
    for item in faster:
        item["metrics"]["target mAP_50"] += 10
    text = without_padding(write_report([*LINES, *faster], tmp_path))
    plain, optioned = text.split("### s → t, ")[1:]
    assert optioned.startswith("10 annotated images, 240 iterations, small detector from random weights, with lr=0.002")
    assert all(f"| OURS | 3 | 27.5 ± 1.0 | {score} ± 2.0" in part for part, score in ((plain, 55.0), (optioned, 65.0)))
    assert len(list(tmp_path.glob("s_to_t_10*.png"))) == 2
    missing = missing_runs(LINES, [*LINES, *faster])
    assert "| joint | lr=0.002 | 1 2 3 |" in without_padding(write_report(LINES, tmp_path, missing))


def test_a_line_of_a_former_version_is_of_what_was_usual_then(tmp_path):
    former = {key: value for key, value in LINES[0].items() if key not in ("iterations", "detector", "weights")}
    lines = [former, dict(former, seed=2, cfg_options=dict(max_epochs=9))]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(item) + "\n" for item in lines))
    found = read_results(tmp_path / "results.jsonl")
    assert [(item["iterations"], item["detector"], item["weights"]) for item in found] == [
        (240, "small", None), (720, "small", None)
    ]  # fmt: skip
