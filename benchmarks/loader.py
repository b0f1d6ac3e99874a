"""Training images a second that one core loads at 640 pixels, against mmdet's stock YOLOX pipeline on the same data.

All augmentations on: Mosaic, affine transform, MixUp or CopyPaste, colours, flip. The stock side is mmdet's ``yolox_s``
recipe over its ``CocoDataset``. Ours reads the files anew every time, or a part of them from the cache of decoded
images; the cache of ``--cache-mb`` is filled before the clock starts. Sides take turns.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from mmcv import Config
from mmdet.datasets import build_dataset

from benchmarks.compare import parse_args, report, time_in_turn
from ms2a.config import CONFIGS, load_config
from ms2a.datasets.image_cache import cache_images

SIZES_HW = {"640x480": (480, 640), "2048x1024": (1024, 2048)}
CONFIG = "yolox/yolox_fs_x_640x640_50e_cityscapes_{}.py"
STAGES = {"base stage": "base", "stage II": "pretrain_mom"}
CLASSES = ("person", "car", "rider", "bicycle", "truck", "motorcycle", "train", "bus")
BOXES = 10


def make_coco(folder: Path, count: int, size_hw: tuple[int, int], seed: int = 0) -> Path:
    """Writes ``count`` JPEG files of smooth noise with grain, each with ten boxes; returns the COCO file."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    height, width = size_hw
    images, annotations = [], []
    for number in range(count):
        coarse = rng.integers(0, 255, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        picture = cv2.add(picture, rng.integers(0, 16, picture.shape, dtype=np.uint8))
        cv2.imwrite(str(folder / "images" / f"{number:04d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        images.append(dict(id=number, file_name=f"{number:04d}.jpg", height=height, width=width))
        for _ in range(BOXES):
            w, h = rng.uniform(0.03, 0.2, 2) * (width, height)
            x, y = rng.uniform(0, 1, 2) * (width - w, height - h)
            box = dict(image_id=number, category_id=int(rng.integers(len(CLASSES))), bbox=[x, y, w, h])
            annotations.append(dict(box, id=len(annotations) + 1, area=w * h, iscrowd=0))
    categories = [dict(id=number, name=name) for number, name in enumerate(CLASSES)]
    path = folder / "annotations.json"
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def stock_dataset(annotations: Path, scale_hw: tuple[int, int]) -> Any:
    """The training set of mmdet's ``yolox_s_8x8_300e_coco``."""
    grey = dict(img=(114.0, 114.0, 114.0))
    pipeline = [
        dict(type="Mosaic", img_scale=scale_hw, pad_val=114.0),
        dict(type="RandomAffine", scaling_ratio_range=(0.1, 2), border=(-scale_hw[0] // 2, -scale_hw[1] // 2)),
        dict(type="MixUp", img_scale=scale_hw, ratio_range=(0.8, 1.6), pad_val=114.0),
        dict(type="YOLOXHSVRandomAug"),
        dict(type="RandomFlip", flip_ratio=0.5),
        dict(type="Resize", img_scale=scale_hw, keep_ratio=True),
        dict(type="Pad", pad_to_square=True, pad_val=grey),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
        dict(type="DefaultFormatBundle"),
        dict(type="Collect", keys=["img", "gt_bboxes", "gt_labels"]),
    ]
    dataset = dict(
        type="CocoDataset",
        classes=CLASSES,
        ann_file=str(annotations),
        img_prefix=str(annotations.parent / "images"),
        pipeline=[dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)],
        filter_empty_gt=False,
    )
    return build_dataset(dict(type="MultiImageMixDataset", dataset=dataset, pipeline=pipeline))


def own_config(stage: str, annotations: Path, scale_hw: tuple[int, int]) -> Config:
    """Our config of a stage over the same pictures, which then are source and target in one."""
    cfg = load_config(CONFIGS / CONFIG.format(STAGES[stage]), {"img_scale": scale_hw, **_borders(scale_hw)})
    train = cfg.data.train
    for part in [train.dataset] if "dataset" in train else [domain.dataset for domain in train.domains]:
        part.update(data_root=None, ann_file=str(annotations), img_prefix=str(annotations.parent / "images"))
    return cfg


def _borders(scale_hw: tuple[int, int]) -> dict[str, tuple[int, int]]:
    return {"mosaic_border": (-scale_hw[0] // 2, -scale_hw[1] // 2)}


def load(dataset: Any, count: int) -> Callable[[], None]:
    """A function that loads ``count`` images of an epoch."""
    order = np.random.default_rng(0).permutation(len(dataset))[:count]

    def run() -> None:
        for index in order:
            dataset[index]

    return run


def main(argv: Sequence[str] | None = None) -> None:
    """Times both stages on both sizes of picture."""
    args = parse_args(__doc__, argv, pictures=40, samples=20, cache_mb=1024, side=640)
    cv2.setNumThreads(0)  # as in every worker of a training
    scale_hw = (args.side, args.side)
    with TemporaryDirectory() as folder:
        for name, size_hw in SIZES_HW.items():
            annotations = make_coco(Path(folder, name), args.pictures, size_hw)
            sides = {"mmdet": load(stock_dataset(annotations, scale_hw), args.samples)}
            for stage in STAGES:
                cfg = own_config(stage, annotations, scale_hw)
                sides[stage] = load(build_dataset(cfg.data.train), args.samples)
                cached = build_dataset(cfg.data.train)
                cache_images(cached, args.cache_mb * 2**20)
                sides[f"{stage}, cached"] = load(cached, args.samples)
                load(cached, len(cached))()
            seconds = dict(zip(sides, time_in_turn(list(sides.values()), args.rounds), strict=True))
            for side, times in list(seconds.items())[1:]:
                report(
                    f"Loading, {side}, pictures of {name}",
                    seconds["mmdet"],
                    times,
                    "≥ 1.5",
                    args.results,
                    images_per_second=" and ".join(f"{args.samples / min(t):.1f}" for t in (times, seconds["mmdet"])),
                )


if __name__ == "__main__":
    main()
