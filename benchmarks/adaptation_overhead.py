"""What the memory costs: a training step and inference of MS2A against the plain detector of the same size.

Both sides see the same images, at the embedded benchmark's size and at 320x320. The module's work is nearly the same at
every image size, the detector's grows with it. A training step is forward, losses, backward, gradient clipping,
optimizer step and moving average. ``--profile 1`` prints where the time of a step goes instead.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import torch
from mmcv.runner import build_optimizer
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.compare import parse_args, report, time_in_turn
from benchmarks.detectors import MS2A, PLAIN, random_detector
from ms2a.engine import MemoryEMAHook

BOXES_PER_IMAGE = 8
SIZES_HW = ((128, 320), (320, 320))


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


def training_step(config: str, width: float, batch: dict) -> Callable[[], None]:
    """A function that does one step of training, the moving average's included."""
    cfg, model = random_detector(config, width)
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


def inference(config: str, width: float, batch: dict, at_once: int) -> Callable[[], None]:
    """A function that finds boxes in all images of the batch, some at once."""
    model = random_detector(config, width)[1].eval()
    # As many candidates for NMS on both sides, about as many as a trained detector has: the coarsest level's cells.
    for predictors in (model.bbox_head.multi_level_conv_cls, model.bbox_head.multi_level_conv_obj):
        for level, bias in enumerate((-8.0, -8.0, 8.0)):
            nn.init.zeros_(predictors[level].weight)
            nn.init.constant_(predictors[level].bias, bias)
    groups: list[tuple[Tensor, list]] = list(
        zip(batch["img"].split(at_once), [batch["img_metas"][i : i + at_once] for i in range(0, len(batch["img"]), at_once)], strict=True)
    )

    def run() -> None:
        with torch.no_grad():
            for images, metas in groups:
                model(return_loss=False, rescale=False, img=[images], img_metas=[metas])

    return run


def print_profile(step: Callable[[], None]) -> None:
    """Operators by their own time."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(5):
            step()
    print(record.key_averages().table(sort_by="self_cpu_time_total", row_limit=30, max_name_column_width=50))


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, or profiles."""
    args = parse_args(__doc__, argv, batch=8, widen_factor=0.25, profile=0)
    for height, width in SIZES_HW:
        batch = batch_of(args.batch, height, width)
        sides = [training_step(config, args.widen_factor, batch) for config in (MS2A, PLAIN)]
        if args.profile:
            for step in sides:
                print_profile(step)
            continue
        compare(f"Training step at {height}x{width}", sides, "≤ 1.15", args)
        for at_once in (1, args.batch):
            sides = [inference(config, args.widen_factor, batch, at_once) for config in (MS2A, PLAIN)]
            compare(f"Inference by {at_once} at {height}x{width}", sides, "≤ 1.03", args)


def compare(what: str, sides: Sequence[Callable[[], None]], goal: str, args: Namespace) -> None:
    """Times both sides in turn, twice a round because one call is short, and reports the ratio."""
    ours, plain = time_in_turn([lambda side=side: [side(), side()] for side in sides], args.rounds)
    report(f"{what}, MS2A to plain", ours, plain, goal, args.results, images=args.batch)


if __name__ == "__main__":
    main()
