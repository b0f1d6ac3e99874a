"""Images per second in testing: the loop and the YOLOX of mmdet, and ours: the same weights, MS2A, and both exported.

All read the same images by the embedded benchmark's test pipeline; mmdet one at a time, as its command does. With
``--profile 1`` it prints where the time goes instead.
"""

import contextlib
import copy
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv import Config
from mmdet.apis import single_gpu_test
from mmdet.datasets import build_dataloader, build_dataset
from mmdet.models import build_detector
from mmdet.utils import build_dp
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.compare import parse_args, print_profile, report, time_in_turn
from benchmarks.detectors import MS2A, PLAIN, random_detector
from ms2a.apis.export import export_onnx
from ms2a.apis.export_check import detections_difference
from ms2a.apis.onnx_detector import OnnxDetector
from ms2a.artefacts import write_json
from ms2a.engine.fast_inference import speed_up
from ms2a.engine.prefetch import ThreadedLoader

CLASSES = ["part"]
Loader = DataLoader | ThreadedLoader


def make_images(folder: Path, count: int, height: int, width: int) -> None:
    """Writes blurred noise as jpg files, and an annotation file without boxes."""
    rng = np.random.default_rng(0)
    images = [dict(id=i, file_name=f"{i}.jpg", height=height, width=width) for i in range(count)]
    for image in images:
        noise = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / image["file_name"]), cv2.resize(noise, (width, height)))
    categories = [dict(id=1, name=CLASSES[0])]
    write_json(dict(images=images, annotations=[], categories=categories), folder / "test.json")


def detector(config: str, width: float, size_hw: tuple[int, int] = (128, 320)) -> tuple[Config, nn.Module]:
    """A detector with random weights whose maps differ between images, and that finds few boxes, all at stride 32."""
    cfg, model = random_detector(config, width, size_hw=size_hw)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # what it sees now becomes its statistics
    domains = model.domains[:1] * 8
    images = nn.functional.interpolate(torch.rand(8, 3, 16, 40) * 255, scale_factor=8, mode="bilinear")
    maps = model.neck(model.backbone(images))
    model.bbox_head(model.adapter(maps, domains) if domains else maps)
    head = model.bbox_head
    for convs in (head.multi_level_conv_cls, head.multi_level_conv_reg, head.multi_level_conv_obj):
        for conv in convs:
            nn.init.normal_(conv.weight, std=0.02)
            nn.init.constant_(conv.bias, 0.0)
    for conv in head.multi_level_conv_obj[:2]:
        nn.init.constant_(conv.bias, -8.0)
    return cfg, model.eval()


def stock_detector(cfg: Config, plain: nn.Module) -> nn.Module:
    """The YOLOX of mmdet with the weights of ours."""
    own = ("type", "default_domain", "adapter", "foreground", "alignment")
    config = {key: value for key, value in cfg.model.items() if key not in own}
    config = Config(dict(model=dict(config, type="YOLOX"))).model
    config.bbox_head.type = "YOLOXHead"
    for part in (config.backbone, config.neck, config.bbox_head):
        part.pop("act_cfg")  # mmdet's default is the same function in two steps
    stock = build_detector(config)
    stock.load_state_dict(plain.state_dict())
    return stock.eval()


def loader_of(cfg: Config, folder: Path, batch: int) -> DataLoader:
    """The config's test loader over the images of a folder, as mmdet and our command make it."""
    files = dict(ann_file=str(folder / "test.json"), img_prefix=str(folder), classes=CLASSES, test_mode=True)
    dataset = dict(type="DomainCocoDataset", domain="indus_synth_t1", pipeline=cfg.data.test.pipeline, **files)
    return build_dataloader(build_dataset(dataset), samples_per_gpu=batch, workers_per_gpu=2, dist=False, shuffle=False)


def loop(model: nn.Module, loader: Loader) -> Callable[[], list]:
    """A function that tests all images."""
    wrapped = build_dp(model, "cpu", device_ids=[0])

    def run() -> list:
        with silence():
            return single_gpu_test(wrapped, loader)

    return run


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Sends the standard output away, also for mmcv's progress bar, which keeps the stream it found when imported."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
        sys.stdout.flush()
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def exported(cfg: Config, model: nn.Module, folder: Path) -> OnnxDetector:
    """The detector by ONNX Runtime."""
    torch.save(dict(meta=dict(CLASSES=CLASSES), state_dict=model.state_dict()), folder / "checkpoint.pth")
    export_onnx(cfg, folder / "checkpoint.pth", folder / "detector.onnx")
    return OnnxDetector(folder / "detector.onnx", CLASSES)


def sides_of(
    folder: Path, width: float, batch: int, size_hw: tuple[int, int]
) -> Iterator[tuple[str, nn.Module, Loader]]:
    """What is compared, mmdet's loop first."""
    plain_cfg, plain = detector(PLAIN, width, size_hw)
    memory_cfg, memory = detector(MS2A, width, size_hw)
    yield "mmdet", stock_detector(plain_cfg, plain), loader_of(plain_cfg, folder, 1)
    batches = ThreadedLoader(loader_of(plain_cfg, folder, batch))  # as tools/test.py loads them
    yield "Plain YOLOX", speed_up(copy.deepcopy(plain)), batches
    yield "MS2A", speed_up(copy.deepcopy(memory)), batches
    yield "Exported plain YOLOX", exported(plain_cfg, plain, folder), batches
    yield "Exported MS2A", exported(memory_cfg, memory, folder), batches


def difference(expected: list, found: list) -> float:
    """The largest difference between two lists of detections, see :func:`detections_difference`."""
    pairs = zip(expected, found, strict=True)
    return max(detections_difference(*(np.insert(side[0], 5, 0, axis=1) for side in pair)) for pair in pairs)


def parts_of(model: nn.Module, loader: Loader) -> dict[str, Callable[[], Any]]:
    """Functions that do one part of the loop each, and all of it, for all images."""
    inputs = [(data["img"][0], data["img_metas"][0].data[0]) for data in loader]
    inputs = [(images if isinstance(images, torch.Tensor) else images.data[0], metas) for images, metas in inputs]
    dataset, head = loader.dataset, model.bbox_head

    @torch.no_grad()
    def network() -> list:
        return [head(model.extract_feat(images)) for images, _ in inputs]

    found = list(zip(network(), (metas for _, metas in inputs), strict=True))
    return {
        "reading, resizing, padding": lambda: [dataset[index] for index in range(len(dataset))],
        "network": network,
        "boxes and NMS": lambda: [head.get_bboxes(*maps, img_metas=metas, rescale=True) for maps, metas in found],
        "all": loop(model, loader),
    }


def profile(models: dict[str, nn.Module], loaders: Sequence[Loader], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds an image of each part of the loop; the first is done by two further processes or threads."""
    parts = {name: parts_of(model, loader) for (name, model), loader in zip(models.items(), loaders, strict=True)}
    seconds = iter(time_in_turn([run for runs in parts.values() for run in runs.values()], rounds))
    per_image = 1e3 / len(loaders[0].dataset)
    return {name: {part: float(np.median(next(seconds))) * per_image for part in runs} for name, runs in parts.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, or profiles."""
    args = parse_args(__doc__, argv, images=128, batch=8, height=128, width=320, widen_factor=0.25, profile=0)
    cv2.setNumThreads(0)
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        make_images(Path(name), args.images, args.height, args.width)
        sides = sides_of(Path(name), args.widen_factor, args.batch, (args.height, args.width))
        names, models, loaders = zip(*sides, strict=True)
        if args.profile:
            print_profile(profile(dict(zip(names[:3], models, strict=False)), loaders[:3], args.rounds), digits=1)
            return
        runs = [loop(model, loader) for model, loader in zip(models, loaders, strict=True)]
        stock, plain, _, onnx, _ = (run() for run in runs)
        seconds = time_in_turn(runs, args.rounds)
    goals = ("≥ 2", "–", "≥ 2", "–")
    differences = (difference(stock, plain), None, difference(stock, onnx), None)
    for side, times, goal, differs in zip(names[1:], seconds[1:], goals, differences, strict=True):
        more = {"images per second": round(args.images / float(np.median(times)), 1)}
        more |= {"mmdet's": round(args.images / float(np.median(seconds[0])), 1)}
        more |= {} if differs is None else {"detections differ by": f"{differs:.1e}"}
        report(f"Testing, mmdet's YOLOX loop to ours: {side}", seconds[0], times, goal, args.results, **more)


if __name__ == "__main__":
    main()
