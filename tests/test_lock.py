"""One process at a time in a folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ms2a.errors import UserError
from ms2a.lock import LOCK_FILE, only_one
from ms2a.pipeline.runner import Runner
from tests.tiny import ROOT

HOLD = """
import sys, time
from ms2a.lock import only_one
with only_one(sys.argv[1], 'training'):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_folder_in_use_is_refused_with_its_owner_and_free_when_the_owner_was_killed(tmp_path, holder):
    folder = tmp_path / "run"
    message = rf"the pipeline cannot start: .*run is in use, training by process {holder.pid} on .* since 20"
    for attempt in (lambda: only_one(folder, "the pipeline").__enter__(), lambda: Runner(folder).run([])):
        with pytest.raises(UserError, match=message) as error:
            attempt()
        assert "\n" not in str(error.value)
    with only_one(folder, "something else", name=".other.lock"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (folder / LOCK_FILE).exists()  # stale
    with only_one(folder, "the pipeline"):
        pass
    assert not (folder / LOCK_FILE).exists()


def test_one_process_may_hold_a_folder_several_times(tmp_path):
    with only_one(tmp_path, "the pipeline"):
        with only_one(tmp_path, "the pipeline"):
            pass
        assert (tmp_path / LOCK_FILE).exists()
        refused = subprocess.run(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert f"process {os.getpid()}" in refused.stderr


def test_threads_share_a_lock_until_the_last_has_ended(tmp_path):
    first, second = (only_one(tmp_path, "the benchmark") for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (tmp_path / LOCK_FILE).exists()
    second.__exit__(None, None, None)
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_lock_of_unknown_content_is_nobodys(tmp_path):
    Path(tmp_path, LOCK_FILE).write_text("not json")
    with only_one(tmp_path, "training"):
        pass
    assert list(tmp_path.iterdir()) == []
    with only_one(tmp_path / "new", "training"):
        pass
    assert list(tmp_path.iterdir()) == []
