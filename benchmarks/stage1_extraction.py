"""Throughput of Stage I's extraction against the bare forward pass of backbone and neck over the same batches.

The forward pass is that of the detector as it is built, and that of its faster form, which the extraction uses too.

Once over batches that are loaded already, which measures sampling, and once from JPEG files with threads that load
them: on two cores these take from the network what they need. ``--profile 1`` prints where one core's time goes
instead.
"""

import copy
import cProfile
import pstats
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from benchmarks.compare import calls_and_seconds, parse_args, print_profile, report, time_in_turn
from benchmarks.detectors import PLAIN, random_detector
from benchmarks.images import make_pictures
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.defaults import MAX_SAMPLES, NORM, SAVE_INTERVAL
from ms2a.engine.fast_inference import speed_up
from ms2a.storage.extract import store
from ms2a.storage.image_batches import Batch, ImageBatches, memory_pipeline
from ms2a.storage.kinds import Maps
from ms2a.storage.resume import Partial
from ms2a.storage.samples import DomainSample

CPU = torch.device("cpu")
PARTS = {
    "loading (JPEG, resize, pad)": [("storage/image_batches.py", "__getitem__")],
    "backbone and neck": [("storage/kinds.py", "__call__")],
    "sampling": [("storage/samples.py", "add")],
}


class LoadedBatches(ImageBatches):
    """Batches that are in memory."""

    def __init__(self, images: ImageFolderDataset, batch_size: int) -> None:
        super().__init__(images, batch_size)
        self.loaded: list[Batch] = [self[number] for number in range(len(self))]

    def load(self, start: int, workers: int, device: torch.device) -> list[Batch]:
        """All but the first few."""
        return self.loaded[start:]


def main(argv: Sequence[str] | None = None) -> None:
    """Measures."""
    args = parse_args(__doc__, argv, images=400, batch=8, widen_factor=0.5, workers=2, profile=0)
    cfg, model = random_detector(PLAIN, args.widen_factor)
    model.eval()
    with tempfile.TemporaryDirectory() as folder:
        images = ImageFolderDataset(make_pictures(Path(folder, "images"), args.images), memory_pipeline(cfg))
        loaded = LoadedBatches(images, args.batch)

        fast = speed_up(copy.deepcopy(model))

        @torch.no_grad()
        def forward(model: nn.Module) -> None:
            for batch in loaded.loaded:
                model.neck(model.backbone(batch.images))

        def extract(batches: ImageBatches, workers: int) -> None:
            sample = DomainSample(Maps.endings, MAX_SAMPLES, 0, NORM)
            partial = Partial(folder, ".bench", {}, SAVE_INTERVAL)
            store(batches, Maps(fast), sample, partial, workers, CPU)

        if args.profile:
            torch.set_num_threads(1)
            extract(loaded, 0)  # lays out the convolutions' weights
            profiler = cProfile.Profile()
            profiler.runcall(extract, ImageBatches(images, args.batch), 0)
            stats = pstats.Stats(profiler)
            seconds = {part: calls_and_seconds(stats, by)[1] for part, by in PARTS.items()}
            per_image = 1e3 / args.images
            print_profile({"ms an image": {part: value * per_image for part, value in seconds.items()}}, digits=2)
            return

        sides = [
            lambda: forward(model),
            lambda: forward(fast),
            lambda: extract(loaded, 0),
            lambda: extract(ImageBatches(images, args.batch), args.workers),
        ]
        bare, faster, in_memory, from_files = time_in_turn(sides, args.rounds)
    more = dict(images=args.images, channels=cfg.channels)
    bare_rate, faster_rate = (dict(images_per_second=round(args.images / min(times))) for times in (bare, faster))
    claim = "Extraction from loaded batches, throughput to the forward pass"
    report(claim, bare, in_memory, "≥ 0.9", args.results, **bare_rate, **more)
    report(f"{claim} in its faster form", faster, in_memory, "–", args.results, **faster_rate, **more)
    claim = f"Extraction from JPEG files, {args.workers} loading threads, throughput to the forward pass"
    report(claim, bare, from_files, "none: loading shares the cores", args.results, **bare_rate, **more)


if __name__ == "__main__":
    main()
