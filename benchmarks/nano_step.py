"""Where a training step of the nano detector goes on one core, and what does not make it faster.

The step is the forward pass, losses and backward pass of the plain detector on 8 images of 192x256, in seconds of the
processor, all forms in turn: as it is; with 1×1 convolutions by oneDNN, which torch takes on one thread only where a
kernel is dilated (dilation means nothing to a kernel of one place); with convolutions in bfloat16, whose gradients are
compared by their cosine. Weights are random unless ``--weights`` names COCO's.
"""

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.compare import parse_args, report
from benchmarks.detectors import with_random_memory
from ms2a.config import CONFIGS, load_config
from ms2a.engine.checkpoint import load_weights

SIZE_HW = (192, 256)
BATCH = 8


def nano(weights: str) -> nn.Module:
    """The plain nano detector, channels last as in training."""
    options = dict(detector="nano", image_size=SIZE_HW)
    cfg = load_config(CONFIGS / "yolox/yolox_fs_n_128x320_indus_synth_base.py", options)
    _, model = with_random_memory(cfg)
    if weights:
        load_weights(model, weights, cfg.classes)
    model._random_size_interval = 10**9  # one size
    return model.train()


def examples() -> dict[str, Any]:
    """A batch of noise with two boxes an image."""
    meta = dict(img_shape=(*SIZE_HW, 3), ori_shape=(*SIZE_HW, 3), scale_factor=np.ones(4), flip=False)
    boxes = torch.tensor([[10.0, 20.0, 120.0, 90.0], [100.0, 100.0, 200.0, 150.0]])
    images = torch.rand(BATCH, 3, *SIZE_HW, generator=torch.Generator().manual_seed(1)) * 255
    labels = torch.zeros(2, dtype=torch.long)
    return dict(img=images, img_metas=[meta] * BATCH, gt_bboxes=[boxes] * BATCH, gt_labels=[labels] * BATCH)


def step(model: nn.Module, batch: dict[str, Any], bfloat16: bool = False) -> Tensor:
    """All gradients of one step, as one vector."""
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        losses = model.forward_train(**batch)
    model._parse_losses(losses)[0].backward()
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])


def dilated(model: nn.Module) -> nn.Module:
    """A copy whose 1×1 convolutions oneDNN does."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            module.dilation = (2, 2)
    return model


def processor_seconds(forms: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Of every form in each round, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for counted in [False] + [True] * rounds:
        for name, run in forms.items():
            start = time.process_time()
            run()
            if counted:
                seconds[name].append(time.process_time() - start)
    return seconds


def depthwise_gradients(channels: int, size_hw: Sequence[int], stride: int, layout: torch.memory_format) -> Callable:
    """Both gradients of a depthwise 3×3 convolution of 8 maps."""
    maps = torch.rand(BATCH, channels, *size_hw).to(memory_format=layout)
    kernel = torch.rand(channels, 1, 3, 3)
    above = torch.rand_like(F.conv2d(maps, kernel, None, stride, 1, 1, channels))
    rest = ([stride] * 2, [1, 1], [1, 1], False, [0, 0], channels, [True, True, False])
    return lambda: torch.ops.aten.convolution_backward(above, maps, kernel, None, *rest)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures on one thread and prints the operators that a step spends most in."""
    args = parse_args(__doc__, argv, weights="")
    torch.set_num_threads(1)
    model, batch = nano(args.weights), examples()
    other = dilated(model)
    forms = {
        "as it is": lambda: step(model, batch),
        "1×1 convolutions by oneDNN": lambda: step(other, batch),
        "bfloat16": lambda: step(model, batch, bfloat16=True),
    }
    cosine = torch.cosine_similarity(forms["as it is"](), forms["bfloat16"](), dim=0)
    seconds = processor_seconds(forms, args.rounds)
    usual = seconds["as it is"]
    figures = {f"least milliseconds, {name}": round(1e3 * min(found)) for name, found in seconds.items()}
    for name in list(forms)[1:]:
        more = figures | ({"cosine of gradients": round(float(cosine), 3)} if name == "bfloat16" else {})
        report(f"Training step of nano, {name} to as it is", seconds[name], usual, "–", args.results, **more)
    for size in ((32, (48, 64), 1), (16, (96, 128), 2)):
        layouts = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
        found = processor_seconds({key: depthwise_gradients(*size, value) for key, value in layouts.items()}, 20)
        claim = "Gradients of a depthwise convolution of {} channels, {}, stride {}, contiguous to channels last"
        report(claim.format(*size), found["contiguous"], found["channels last"], "–", args.results)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step(model, batch)
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=8, max_name_column_width=40))


if __name__ == "__main__":
    main()
