"""Peak memory of extract_fea_fewshot.py over 2,000 images against 200, everything else equal.

The neck has 128 channels, the fewest of the recipes' detectors: 200 images fill the default sample just so.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.compare import parse_args, report
from benchmarks.detectors import PLAIN, random_detector
from benchmarks.images import make_pictures


def processes(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    try:
        children = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has just ended
        return
    for child in (child for part in children for child in part):
        yield from processes(int(child))


def resident(pid: int) -> int:
    """Memory of a process and all below it in bytes, pages that they share counted once."""
    total = 0
    for each in processes(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def peaks(command: Sequence[str]) -> tuple[float, float]:
    """Runs a command; peak memory in MB of it with its children (looked at every 50 ms) and of its first process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, resident(process.pid))
        time.sleep(0.05)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak / 1e6, usage.ru_maxrss / 1e3


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, each number of images once whatever ``--rounds`` says: memory hardly varies."""
    args = parse_args(__doc__, argv, few=200, many=2000, channels=128, batch=8)
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = random_detector(PLAIN, 0.25, channels=args.channels)[1]
        torch.save(dict(meta={}, state_dict=model.state_dict()), folder / "base.pth")
        for count in (args.few, args.many):
            images = make_pictures(folder / f"images{count}", count)
            command = [sys.executable, "extract_fea_fewshot.py", "--depart", "bench", "--img", str(images)]
            command += ["--config", PLAIN, "--checkpoint", str(folder / "base.pth"), "--out_path", str(folder / "out")]
            command += ["--device", "cpu", "--batch_size", str(args.batch), "--dim", str(args.channels)]
            found.append(peaks([*command, "--cfg-options", f"channels={args.channels}"]))
    (few, few_first), (many, many_first) = found
    claim = f"Peak memory of extraction, {args.many} images to {args.few}"
    megabytes = {f"MB_at_{args.few}": round(few), f"MB_at_{args.many}": round(many)}
    report(
        claim, [many], [few], "≤ 1.05", args.results, **megabytes, first_process_ratio=round(many_first / few_first, 3)
    )


if __name__ == "__main__":
    main()
