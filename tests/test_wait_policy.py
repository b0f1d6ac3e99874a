"""Threads that wait soon give their core away, in every process that is started here, unless the user wants otherwise.

OpenMP tells on being loaded how often a thread that waits looks for work.
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
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        environment.pop(name, None)
    done = subprocess.run(command, cwd=ROOT, env=environment | variables, capture_output=True, text=True)
    return set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr + done.stdout))


def test_importing_the_package_before_torch_settles_it():
    assert spins([sys.executable, "-c", "import ms2a, torch"]) == {"1000"}


def test_the_user_may_want_otherwise():
    (count,) = spins([sys.executable, "-c", "import ms2a, torch"], OMP_WAIT_POLICY="active")
    assert int(count) > 1e6
    assert spins([sys.executable, "-c", "import ms2a, torch"], OMP_WAIT_POLICY="passive") == {"0"}
    assert spins([sys.executable, "-c", "import ms2a, torch"], GOMP_SPINCOUNT="77") == {"77"}


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
    assert spins(command) == {"1000"}
