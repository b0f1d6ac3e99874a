"""The parts of :mod:`benchmarks.gpu_check`, one a process: ``python -m benchmarks.gpu_parts NAME``."""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The fast tests of what depends on a device, in the order of what they tell.
DEVICE_TESTS = ["tests/adaptation", "tests/memory", "tests/engine/test_compat.py", "tests/engine/test_distributed.py"]


@dataclass
class Check:
    """What a part needs and where it writes.

    Attributes:
        device: ``"cuda"``, ``"cuda:1"`` or ``"cpu"``.
        tiny: sizes that only show that the check itself works.
        rows: file that gets a line of JSON for each result, at once: what was found counts if the part is stopped.
        folder: for everything else.
    """

    device: str
    tiny: bool
    rows: Path
    folder: Path

    def add(self, what: str, found: Any, expected: str = "", ok: bool | None = None, **figures: Any) -> None:
        """Records one result; ``ok`` is None where nothing is expected."""
        row = dict(what=what, found=found if isinstance(found, str) else f"{found:.4g}", expected=expected, ok=ok)
        with open(self.rows, "a") as file:
            file.write(json.dumps(row | figures) + "\n")
        print(json.dumps(row), flush=True)

    def compare(self, what: str, found: Any, expected: str, ok: bool) -> None:
        """Records a ratio of times, of which at tiny sizes nothing is expected."""
        self.add(what, found, "" if self.tiny else expected, None if self.tiny else ok)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """A step whose failure is recorded and does not stop the next one."""
        start = time.monotonic()
        try:
            yield
        except Exception as error:  # whatever it is, the other steps can still tell something
            traceback.print_exc()
            message = re.sub(r"[\s|]+", " ", f"{type(error).__name__}: {error}")[:200]
            self.add(what, message, "no error", False)
        else:
            print(f"{what}: {time.monotonic() - start:.1f} s", flush=True)

    @property
    def on_gpu(self) -> bool:
        """Whether this is about a GPU."""
        return self.device.startswith("cuda")


def run_tests(check: Check) -> None:
    """Runs the tests that a GPU decides."""
    # The check's own test would call the check.
    rest = DEVICE_TESTS[:1] if check.tiny else DEVICE_TESTS
    for tests, marked in ((["tests/cli/test_gpu.py"], "slow or not slow"), (rest, "not slow")):
        with check.step(" ".join(tests)):
            command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", marked]
            # Apart from those of other runs, which would be cleaned up.
            command += ["--basetemp", str(check.folder / "pytest"), *tests]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(["", *sys.path])}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            print(done.stdout[-6000:], done.stderr[-2000:])
            counts = re.findall(r"^.*\d (?:passed|failed|skipped|errors?)\b.* in .*$", done.stdout, re.MULTILINE)
            summary = re.sub(r"[= |]+", " ", (counts or ["no summary"])[-1]).strip()
            names = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
            skipped = check.on_gpu and "skipped" in summary and "passed" not in summary
            found = "; ".join([summary, *names])
            check.add(" ".join(tests), found, "all pass", done.returncode == 0 and not skipped and bool(counts))


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["tests", "training", "speed", "stage1", "memory"])
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", type=int, default=0)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--work-dir", type=Path, required=True)
    args = parser.parse_args(argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    check = Check(args.device, bool(args.tiny), args.rows, args.work_dir)
    if args.name == "tests":
        run_tests(check)
        return
    # Late: the tests run in processes of their own, and torch takes seconds to import.
    from benchmarks import gpu_speed, gpu_training

    parts = dict(
        training=gpu_training.run_training,
        memory=gpu_training.run_memory,
        speed=gpu_speed.run_speed,
        stage1=gpu_speed.run_stage1,
    )
    parts[args.name](check)


if __name__ == "__main__":
    main()
