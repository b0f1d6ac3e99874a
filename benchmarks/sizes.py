"""What each size of detector costs at 640×640: memory and time of training, in both stages, and of testing.

A process of its own for each size and each of base training, Stage II and testing runs one picture through the
detector: an iteration before the clock starts, then ``--iterations`` more. Random weights and pictures: neither
matters for the cost. Prints a table; seconds are the processor's, which depend less on what else the machine does.

    python -m benchmarks.sizes [--sizes nano s ...]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv import Config
from mmcv.runner import build_optimizer
from torch import Tensor, nn

from benchmarks.detectors import with_random_memory
from ms2a.artefacts import write_text
from ms2a.config import load_config
from ms2a.defaults import DETECTORS
from ms2a.engine.fast_inference import speed_up

CONFIG = "configs/yolox/yolox_fs_n_custom_{}.py"
# Part → its config.
PARTS = {"base": "base", "stage II": "pretrain_mom_ft", "test": "pretrain_mom_ft"}


def measure(part: str, size: str, side: int, iterations: int, batch: int = 1) -> dict[str, float]:
    """Parameters in millions, peak memory of this process in GiB and seconds of the processor a picture."""
    options = dict(detector=size, image_size=[side, side], random_size_range=(side // 32,) * 2, memory_files=None)
    cfg, model = with_random_memory(load_config(CONFIG.format(PARTS[part]), options))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8))
    run = _tester(model, images, side) if part == "test" else _trainer(model, images, side, cfg)
    run()
    start = time.process_time()
    for _ in range(iterations):
        run()
    seconds = (time.process_time() - start) / iterations / batch
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return dict(millions=millions, peak_gib=peak, seconds=seconds)


def _trainer(model: nn.Module, images: Tensor, side: int, cfg: Config) -> Callable[[], None]:
    optimizer = build_optimizer(model.train(), cfg.optimizer)
    meta = dict(img_shape=(side, side, 3), scale_factor=1.0, domain=cfg.target_domain)
    boxes = torch.tensor([[0.1, 0.2, 0.4, 0.6], [0.5, 0.5, 0.6, 0.7]]) * side
    given = dict(gt_bboxes=[boxes] * len(images), gt_labels=[torch.zeros(2, dtype=torch.long)] * len(images))

    def train() -> None:
        losses = model(images, [meta] * len(images), **given)
        optimizer.zero_grad()
        model._parse_losses(losses)[0].backward()
        optimizer.step()

    return train


def _tester(model: nn.Module, images: Tensor, side: int) -> Callable[[], None]:
    model = speed_up(model.eval())
    meta = dict(img_shape=(side, side, 3), pad_shape=(side, side, 3), scale_factor=np.ones(4, np.float32))
    views = [images.float()]

    @torch.no_grad()
    def test() -> None:
        model(views, [[meta] * len(images)], return_loss=False, rescale=True)

    return test


def main(argv: Sequence[str] | None = None) -> None:
    """Measures what is asked for, or prints one measurement for the process that asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=DETECTORS, default=DETECTORS)
    parser.add_argument("--side", type=int, default=640, help="height and width of the picture; default 640")
    parser.add_argument("--iterations", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("work_dirs/bench/sizes.md"))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.part:
        print(json.dumps(measure(args.part, args.sizes[0], args.side, args.iterations)))
        return
    lines = ["| detector | parameters | base training | Stage II | test |", "| --- | --- | --- | --- | --- |"]
    for size in args.sizes:
        found = {}
        for part in PARTS:
            command = [sys.executable, "-m", "benchmarks.sizes", "--sizes", size, "--part", part]
            command += ["--side", str(args.side), "--iterations", str(args.iterations)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[part] = json.loads(done.stdout.splitlines()[-1])
        cells = [f"{one['peak_gib']:.1f} GiB, {one['seconds']:.2g} s" for one in found.values()]
        lines.append(f"| {size} | {found['base']['millions']:.1f} M | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    write_text("\n".join(lines) + "\n", args.out)


if __name__ == "__main__":
    main()
