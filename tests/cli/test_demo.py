"""What ``make demo`` promises, by its own command: some four minutes on two cores."""

import json
import os
import subprocess
import sys

import pytest

from tests.tiny import ROOT


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_demo_adapts_to_the_dark_conveyor(tmp_path):
    """Bounds wide enough for other seeds and platforms, and far from what a fault would give."""
    command = [sys.executable, "-m", "ms2a.cli", "demo", "--work-dir", "work", "--device", "cpu"]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = json.loads((tmp_path / "work" / "summary.json").read_text())["results"]
    before, after = results["source only"], results["MS2A"]
    assert before["indus_synth_t1 mAP_50"] < 35 and before["indus_synth_s mAP_50"] > 90
    assert 62 < after["indus_synth_t1 mAP_50"] < 85 and after["indus_synth_s mAP_50"] > 80
    tested = json.loads((tmp_path / "data" / "indus_synth" / "t1" / "test.json").read_text())["images"]
    assert len(list((tmp_path / "work" / "drawn").rglob("*.jpg"))) == len(tested)
