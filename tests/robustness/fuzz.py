"""Draws odd inputs anew, seed after seed, until the time is over or one is not dealt with: ``make fuzz``."""

import os
import subprocess
import sys
import time
from pathlib import Path

SUITE = Path(__file__).with_name("test_files.py")


def main(minutes: float) -> int:
    """Runs the suite with one seed after the other; returns pytest's status of the first that fails, else 0."""
    end, seed = time.monotonic() + 60 * minutes, int(time.time())
    rounds = 0
    while time.monotonic() < end:
        print(f"seed {seed}, {max(0, end - time.monotonic()) / 60:.0f} minutes left", flush=True)
        command = [sys.executable, "-m", "pytest", "-x", str(SUITE), f"--hypothesis-seed={seed}"]
        status = subprocess.run(command, env=os.environ | {"MS2A_HYPOTHESIS": "fuzz"}).returncode
        if status:
            print(f"seed {seed} found an input that is not dealt with")
            return status
        seed, rounds = seed + 1, rounds + 1
    print(f"{rounds} seeds, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
