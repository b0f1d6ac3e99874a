"""Wide images in a wide frame against a square one: testing and Stage I of the embedded benchmark's 128x320 images.

Testing compares ``test_padding="multiple"`` with a frame of 320x320, Stage I ``memory_img_scale``. Speed is that of
random weights. The mAP is that of the base detector that ``make demo`` leaves, unless --checkpoint names another.
"""

import contextlib
import copy
import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import torch
from torch import nn

from benchmarks.compare import parse_args, report, time_in_turn
from benchmarks.detectors import MS2A, PLAIN
from benchmarks.inference import CLASSES, detector, loader_of, loop, make_images, silence
from ms2a.apis.test import evaluate, test
from ms2a.config import load_config
from ms2a.engine.fast_inference import speed_up
from ms2a.engine.prefetch import ThreadedLoader
from ms2a.storage.extract import ExtractOptions, extract

HEIGHT, WIDTH = 128, 320
STAGE_ONE_IMAGES = 384
SQUARE = dict(img_scale=(WIDTH, WIDTH))
WIDE = dict(SQUARE, test_padding="multiple")


def testing(model: nn.Module, options: dict, config: str, folder: Path, batch: int) -> Callable[[], list]:
    """A function that tests all images of the folder."""
    return loop(model, ThreadedLoader(loader_of(load_config(config, options), folder, batch)))


def stage_one(checkpoint: Path, folder: Path, height: int) -> Callable[[], None]:
    """A function that extracts the maps of all images of the folder, at frames of that height."""
    cfg = load_config(PLAIN, dict(memory_img_scale=(height, WIDTH)))

    def run() -> None:
        with contextlib.redirect_stderr(io.StringIO()):  # of the progress bar
            extract(cfg, checkpoint, folder, "t1", folder / "memory", ExtractOptions(device="cpu", max_samples=2000))

    return run


def scores(checkpoint: str, config: str, options: dict) -> dict[str, float]:
    """The mAP of each domain's test set, in percent."""
    cfg = load_config(config, options)
    with silence(), contextlib.redirect_stdout(io.StringIO()):
        metrics = evaluate(test(cfg, checkpoint, device="cpu"))
    return {name.removesuffix("_bbox_mAP"): 100 * value for name, value in metrics.items() if name.endswith("_mAP")}


def report_scores(checkpoint: str, config: str, results: Path) -> None:
    """Compares the mAP of a trained detector in both frames."""
    if not Path(checkpoint).is_file():
        print(f"mAP is not compared: there is no {checkpoint}; make demo trains one, or give --checkpoint")
        return
    wide, square = (scores(checkpoint, config, options) for options in (WIDE, SQUARE))
    for domain in wide:
        more = dict(wide=round(wide[domain], 2), square=round(square[domain], 2), checkpoint=str(checkpoint))
        report(f"mAP, wide to square frame: {domain}", [wide[domain]], [square[domain]], "0.3 points", results, **more)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures."""
    defaults = dict(images=128, batch=8, widen_factor=0.25, config=PLAIN, checkpoint="work_dirs/demo/base/latest.pth")
    args = parse_args(__doc__, argv, **defaults)
    cv2.setNumThreads(0)
    logging.disable(logging.INFO)
    size = f"{args.images} images of {HEIGHT}x{WIDTH}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder, args.images, HEIGHT, WIDTH)
        for which, config in (("plain YOLOX", PLAIN), ("MS2A", MS2A)):
            _, model = detector(config, args.widen_factor)
            if config == PLAIN:
                torch.save(dict(meta=dict(CLASSES=CLASSES), state_dict=model.state_dict()), folder / "base.pth")
            models = [speed_up(copy.deepcopy(model)) for _ in range(2)]  # each is laid out for its frame
            options = (SQUARE, WIDE)
            sides = [testing(*each, config, folder, args.batch) for each in zip(models, options, strict=True)]
            square, wide = time_in_turn(sides, args.rounds)
            report(f"Testing, square to wide frame: {which}", square, wide, "≥ 1.8", args.results, batch=size)
        # Enough images to outweigh starting up, in fewer rounds.
        make_images(folder, STAGE_ONE_IMAGES, HEIGHT, WIDTH)
        sides = [stage_one(folder / "base.pth", folder, height) for height in (WIDTH, HEIGHT)]
        square, wide = time_in_turn(sides, min(args.rounds, 2))
        report("Stage I, square to wide frame", square, wide, "–", args.results, images=STAGE_ONE_IMAGES)
    report_scores(args.checkpoint, args.config, args.results)


if __name__ == "__main__":
    main()
