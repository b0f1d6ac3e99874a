"""What the memory costs: a training step and inference of MS2A against the plain detector of the same size.

Both sides see the same images: the small detector at the embedded benchmark's size, YOLOX-S and X at 640x640. The
module reads 100 windows a level whatever the image size, so its share falls as the detector's work grows. A training
step is forward, losses, backward, gradient clipping, optimizer step and moving average. ``--profile 1`` prints where it
goes instead.
"""

from collections.abc import Callable, Sequence
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch
from mmcv.runner import build_optimizer
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.compare import parse_args, report, time_in_turn
from benchmarks.detectors import MS2A, PLAIN, random_detector
from ms2a.engine.fast_inference import speed_up
from ms2a.engine.hooks import MemoryEMAHook

BOXES_PER_IMAGE = 8
# Name, width and depth of the detector, height and width of the images, images at once, how often a round repeats it.
CASES = (
    ("small detector", 0.25, 0.33, (128, 320), 8, 10),
    ("YOLOX-S", 0.5, 0.33, (640, 640), 2, 4),
    ("YOLOX-X", 1.25, 1.33, (640, 640), 1, 1),
)


def forward_flops(config: str, width: float, depth: float, size_hw: tuple[int, int]) -> int:
    """Floating point operations of the forward pass of one image, without those that depend on the memory alone."""
    model = random_detector(config, width, size_hw=size_hw, depth=depth)[1].eval()
    image = torch.zeros(1, 3, *size_hw)
    with torch.no_grad():
        model.bbox_head(model.extract_feat(image))  # the memory is read once
        with FlopCounterMode(display=False) as counter:
            model.bbox_head(model.extract_feat(image))
    return counter.get_total_flops()


def batch_of(images: int, height: int, width: int) -> dict:
    """Noise with boxes, half of it of the source's domain."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(images, BOXES_PER_IMAGE, 2, generator=generator) * torch.tensor([width - 50.0, height - 40.0])
    sizes = 15 + 25 * torch.rand(images, BOXES_PER_IMAGE, 2, generator=generator)
    domains = ["indus_synth_s", "indus_synth_t1"] * images
    shapes = dict(img_shape=(height, width, 3), ori_shape=(height, width, 3), scale_factor=np.ones(4, np.float32))
    return dict(
        img=(torch.rand(images, 3, height, width, generator=generator) * 255).to(memory_format=torch.channels_last),
        img_metas=[dict(shapes, domain=domain) for domain in domains[:images]],
        gt_bboxes=list(torch.cat([corners, corners + sizes], dim=2)),
        gt_labels=[torch.zeros(BOXES_PER_IMAGE, dtype=torch.long)] * images,
    )


def training_step(config: str, width: float, depth: float, batch: dict) -> Callable[[], None]:
    """A function that does one step of training, the moving average's included."""
    cfg, model = random_detector(config, width, size_hw=tuple(batch["img"].shape[2:]), depth=depth)
    optimizer = build_optimizer(model.train(), cfg.optimizer)
    average, runner = MemoryEMAHook(momentum=0.02), SimpleNamespace(model=model, iter=0)
    average.before_run(runner)

    def step() -> None:
        losses = model(**{key: list(v) if isinstance(v, list) else v for key, v in batch.items()})
        loss, _ = model._parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        average.after_train_iter(runner)

    return step


def inference(config: str, width: float, depth: float, batch: dict) -> Callable[[], None]:
    """A function that finds boxes in all images of the batch."""
    model = random_detector(config, width, size_hw=tuple(batch["img"].shape[2:]), depth=depth)[1].eval()
    # As many candidates for NMS on both sides, about as many as a trained detector has: the coarsest level's cells.
    for predictors in (model.bbox_head.multi_level_conv_cls, model.bbox_head.multi_level_conv_obj):
        for level, bias in enumerate((-8.0, -8.0, 8.0)):
            nn.init.zeros_(predictors[level].weight)
            nn.init.constant_(predictors[level].bias, bias)

    speed_up(model)  # as tools/test.py and tools/inference.py do

    def run() -> None:
        with torch.no_grad():
            model(return_loss=False, rescale=False, img=[batch["img"]], img_metas=[batch["img_metas"]])

    return run


def repeated(step: Callable[[], None], times: int) -> Callable[[], None]:
    """A function that does a step several times."""

    def run() -> None:
        for _ in range(times):
            step()

    return run


def print_operators(step: Callable[[], None]) -> None:
    """Operators by their own time."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(5):
            step()
    print(record.key_averages().table(sort_by="self_cpu_time_total", row_limit=30, max_name_column_width=50))


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, or profiles."""
    args = parse_args(__doc__, argv, profile=0)
    for name, width, depth, size_hw, images, repeats in CASES:
        batch, size = batch_of(images, *size_hw), "{}x{}".format(*size_hw)
        if not args.profile:
            ours, plain = ([forward_flops(config, width, depth, size_hw)] for config in (MS2A, PLAIN))
            claim = f"Floating point operations of inference, {name} at {size}, MS2A to plain"
            report(claim, ours, plain, "–", args.results)
        for what, make, goal in (("Training step", training_step, "≤ 1.15"), ("Inference", inference, "≤ 1.03")):
            sides = [make(config, width, depth, batch) for config in (MS2A, PLAIN)]
            if args.profile:
                for side in sides:
                    print_operators(side)
                continue
            ours, plain = time_in_turn([repeated(side, repeats) for side in sides], args.rounds)
            claim = f"{what}, {name} at {size}, MS2A to plain"
            milliseconds = {"plain, ms an image": round(1e3 * median(plain) / repeats / images, 1)}
            report(claim, ours, plain, goal, args.results, images=images, **milliseconds)


if __name__ == "__main__":
    main()
