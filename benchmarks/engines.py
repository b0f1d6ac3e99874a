"""An exported detector in each runtime against the detector in torch, from files to detections.

All of them have the same random weights, read the same pictures in a process of their own and take turns. Then the
commands, their start included: ``tools/inference.py`` with the checkpoint, which draws as well, and ``python -m
ms2a.runtime`` with the file.
"""

import contextlib
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import median

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
        cfg, model = detector(MS2A, args.widen_factor, (args.height, args.width))
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
                more = {"images per second": round(args.images / median(times), 1)}
                more |= {"torch's": round(args.images / median(stock), 1)}
                more |= {"MiB": round(worker.memory_mib()), "torch's MiB": round(workers[0].memory_mib())}
                claim = f"Engines, torch to {form}, batch {batch}"
                report(claim, stock, times, GOALS.get(form, "–"), args.results, **more)
        compare_commands(cfg, folder, args)


def compare_commands(cfg: Config, folder: Path, args: Namespace) -> None:
    """Reports how long the commands take on one picture, which is their start, and on all, start included."""
    cfg.dump(str(folder / "config.py"))
    pictures = [folder / f"{number}.jpg" for number in range(args.images)]
    tool = [sys.executable, "tools/inference.py", folder / "config.py", folder / "checkpoint.pth", folder / "out"]
    for engine in [name for name in ("onnxruntime", "openvino") if (folder / f"{name}.onnx").exists()]:
        runtime = [sys.executable, "-m", "ms2a.runtime", folder / f"{engine}.onnx", "--engine", engine]
        for what, some in (("one picture", pictures[:1]), (f"{args.images} pictures", pictures)):
            sides = [[*tool, "--device", "cpu", "--img", *some], [*runtime, *some]]
            runs = [lambda words=words: subprocess.run(words, check=True, capture_output=True) for words in sides]
            theirs, ours = time_in_turn(runs, args.rounds)
            seconds = {"seconds": round(median(ours), 2), "of tools/inference.py": round(median(theirs), 2)}
            claim = f"Engines, tools/inference.py in torch to the runtime in {engine}, {what}"
            report(claim, theirs, ours, "≥ 4" if some == pictures[:1] else "≥ 2.5", args.results, **seconds)


if __name__ == "__main__":
    main()
