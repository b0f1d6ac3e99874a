"""An exported detector in each runtime against the detector in torch, from files to detections, and the start of each.

All of them have the same random weights, read the same pictures in a process of their own and take turns. The start is
that of ``tools/inference.py`` with the checkpoint, and of ``python -m ms2a.runtime`` with the file, on one picture.
"""

import contextlib
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from mmcv import Config

from benchmarks.compare import parse_args, report, time_in_turn
from benchmarks.detectors import MS2A
from benchmarks.inference import CLASSES, detector, make_images
from ms2a.apis.compare_engines import forms
from ms2a.apis.engine_worker import Worker

GOALS = {"onnxruntime float32": "≥ 2.5", "openvino float32": "≥ 2.5", "openvino bfloat16": "≥ 3.5"}


def main(argv: Sequence[str] | None = None) -> None:
    """Measures."""
    args = parse_args(__doc__, argv, images=32, height=128, width=320, widen_factor=0.25)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        make_images(folder, args.images, args.height, args.width)
        pictures = [str(folder / f"{number}.jpg") for number in range(args.images)]
        cfg, model = detector(MS2A, args.widen_factor)
        weights = folder / "checkpoint.pth"
        torch.save(dict(meta=dict(CLASSES=CLASSES), state_dict=model.state_dict()), weights)
        workers = [
            stack.enter_context(Worker(form, torch.get_num_threads(), pictures[0]))
            for form in forms(cfg, weights, folder)
        ]
        for batch in (1, 8):
            sides = [lambda worker=worker, batch=batch: worker.seconds(pictures, None, batch) for worker in workers]
            stock, *others = time_in_turn(sides, args.rounds)
            for worker, times in zip(workers[1:], others, strict=True):
                form = f"{worker.form.engine} {worker.form.precision}"
                more = {"images per second": round(args.images / sorted(times)[len(times) // 2], 1)}
                more |= {"torch's": round(args.images / sorted(stock)[len(stock) // 2], 1)}
                more |= {"MiB": round(worker.memory_mib()), "torch's MiB": round(workers[0].memory_mib())}
                claim = f"Engines, torch to {form}, batch {batch}"
                report(claim, stock, times, GOALS.get(form, "–"), args.results, **more)
        compare_starts(cfg, folder, args)


def compare_starts(cfg: Config, folder: Path, args: Namespace) -> None:
    """Reports how long one picture takes from the start of a process."""
    cfg.dump(str(folder / "config.py"))
    picture = folder / "0.jpg"
    ours = [sys.executable, "-m", "ms2a.runtime", folder / "onnxruntime.onnx", picture, "--engine", "onnxruntime"]
    tool = [sys.executable, "tools/inference.py", folder / "config.py", folder / "checkpoint.pth", folder / "out"]
    sides = [[*tool, "--img", picture, "--device", "cpu"], ours]
    runs = [lambda words=words: subprocess.run(words, check=True, capture_output=True) for words in sides]
    tools, runtime = time_in_turn(runs, args.rounds)
    seconds = {"seconds": round(min(runtime), 2), "seconds of tools/inference.py": round(min(tools), 2)}
    report("Engines, start of the runtime to tools/inference.py", runtime, tools, "≤ 0.25", args.results, **seconds)


if __name__ == "__main__":
    main()
