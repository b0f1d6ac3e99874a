"""Detectors of every size go through both stages, and the benchmark that says what they cost."""

import pytest

from benchmarks.sizes import PARTS, main, measure


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_measured(part):
    found = measure(part, "nano", 64, 1)
    low, high = (0.8, 1.0) if part == "base" else (1.4, 1.8)
    assert low < found["millions"] < high and found["peak_gib"] > 0.2 and found["seconds"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("size", ["s", "m", "l", "x"])
def test_large_sizes_train_in_both_stages_and_test(size, tmp_path):
    main(["--sizes", size, "--out", str(tmp_path / "sizes.md")])  # 640×640, two iterations of each part
    row = (tmp_path / "sizes.md").read_text().splitlines()[2]
    assert row.startswith(f"| {size} | ") and row.count("GiB") == 3
