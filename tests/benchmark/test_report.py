"""Tables and plots of the benchmark's results."""

import re

import numpy as np
import pytest

from ms2a.benchmark.report import against_controls, paired_difference, summarise, write_report
from ms2a.benchmark.run import _keep, read_results
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
    ours = {1: LINES[6], 9: result_line("ours", 9, 99.0)}
    mean, half = paired_difference(ours, {item["seed"]: item for item in LINES[:3]})
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
    assert "### s → t, 10 annotated images" in text and "### s → t, 30 annotated images" in text
    row = "| OURS | 3 | 27.5 ± 1.0 | 55.0 ± 2.0 | 30.0 ± 0.0 | 80.0 ± 0.0 | +3.0 ± 5.0 | 60 s |"
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
