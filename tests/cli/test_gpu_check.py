"""The check for GPU machines runs on a CPU at tiny sizes; a part that fails or is too slow does not stop the others."""

import json

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_parts import Check


@pytest.mark.slow
def test_all_of_it_at_tiny_sizes(tmp_path):
    options = ["--device", "cpu", "--tiny", "1", "--scale-limits", "10", "--out", str(tmp_path)]
    assert gpu_check.main(options) == 0, (tmp_path / "gpu_check.md").read_text()
    result = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [part["name"] for part in result["parts"]] == list(gpu_check.LIMITS)
    told = " ".join(row["what"] for part in result["parts"] for row in part["rows"])
    for what in ("test_gpu.py", "resumed", "ONNX", "Stage I", "stage II", "mmdet's YOLOX", "MS2A to plain", "k-means"):
        assert what in told


def test_the_limits_leave_room_in_eight_minutes():
    assert sum(gpu_check.LIMITS.values()) <= 470


def test_a_part_that_takes_too_long_is_stopped_and_told(tmp_path):
    part = gpu_check.run_part("training", "cpu", True, tmp_path, limit=0.2)
    assert part["ended"].startswith("stopped after its 0 s") and part["rows"] == []
    assert part["seconds"] < 30


def test_a_part_that_fails_is_told_and_the_table_has_it(tmp_path):
    part = gpu_check.run_part("training", "no-such-device", True, tmp_path, limit=300)
    result = dict(machine=gpu_check.machine("cpu"), parts=[part])
    assert any(row["ok"] is False and "no-such-device" in row["found"] for row in part["rows"])
    assert gpu_check.failed(result) >= 1
    assert "| **no** |" in gpu_check.table(result)


def test_a_step_that_fails_is_recorded_and_the_next_one_runs(tmp_path):
    check = Check("cpu", False, tmp_path / "rows", tmp_path)
    with check.step("first"):
        raise RuntimeError("out of |memory|\nsecond line")
    with check.step("second"):
        check.compare("ratio", 1.23456, "≥ 1", True)
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [(row["what"], row["ok"]) for row in rows] == [("first", False), ("ratio", True)]
    assert rows[0]["found"] == "RuntimeError: out of memory second line" and rows[1]["found"] == "1.235"
