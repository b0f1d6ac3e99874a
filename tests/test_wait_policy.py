"""Threads that wait give their core away, in every process that is started here, unless the user wants otherwise.

OpenMP tells on being loaded what it was told: a thread that waits passively looks for work 0 times.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.tiny import ROOT

TEST = ["tools/test.py", "none.py", "none.pth", "--eval", "bbox"]


def spins(command, **variables):
    """How often a waiting thread looks for work, in each process that loads OpenMP."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment |= dict(OMP_DISPLAY_ENV="verbose", PYTHON=sys.executable)
    environment.pop("OMP_WAIT_POLICY", None)
    done = subprocess.run(command, cwd=ROOT, env=environment | variables, capture_output=True, text=True)
    return set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr + done.stdout))


def test_importing_the_package_before_torch_settles_it():
    assert spins([sys.executable, "-c", "import ms2a, torch"]) == {"0"}


def test_the_user_may_want_otherwise():
    (count,) = spins([sys.executable, "-c", "import ms2a, torch"], OMP_WAIT_POLICY="active")
    assert int(count) > 1e6


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, *TEST],
        [sys.executable, "-m", "ms2a.cli", "test", *TEST[1:]],
        [sys.executable, "extract_fea_fewshot.py", "--depart", "a", "--img", "b", "--config", "none.py"]
        + ["--checkpoint", "none.pth", "--out_path", "o", "--batch_size", "1", "--dim", "32"],
        ["tools/dist_train.sh", "none.py", "0"],
        ["tools/dist_train.sh", "none.py", "2"],
        [sys.executable, "-m", "benchmarks.operators", "--help"],
    ],
    ids=lambda command: " ".join(command[:3]).replace(sys.executable, "python"),
)
def test_every_process_that_is_started_here_waits_so(command):
    assert spins(command) == {"0"}
