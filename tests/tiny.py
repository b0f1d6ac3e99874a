"""Tiny data for tests, pictures of coloured rectangles with COCO annotations, and a tiny detector's config."""

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from mmdet.models import build_detector

import ms2a.plugin  # noqa: F401
from ms2a.config import load_config
from ms2a.memory.files import write_maps

ROOT = Path(__file__).resolve().parent.parent


def tool(path: str) -> Callable[[Sequence[str]], None]:
    """``main`` of a command line given by its path in the repository, to be called without starting a process."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda argv: module.main([str(argument) for argument in argv])


def make_coco(
    folder: Path,
    n_images: int = 4,
    size_hw: tuple[int, int] | Sequence[tuple[int, int]] = (64, 96),
    classes: Sequence[str] = ("part",),
    seed: int = 0,
    max_boxes: int = 3,
) -> Path:
    """Writes ``folder/images/*.png`` and the box-only COCO file ``folder/annotations.json``; returns the latter.

    Every image has one to ``max_boxes`` rectangles; classes take turns, each drawn in its own colour. Several
    sizes take turns too.
    """
    rng = np.random.default_rng(seed)
    sizes_hw = [size_hw] if isinstance(size_hw[0], int) else size_hw
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(1, n_images + 1):
        height, width = sizes_hw[(image_id - 1) % len(sizes_hw)]
        picture = rng.integers(90, 130, (height, width, 3), dtype=np.uint8)
        name = f"{image_id:03d}.png"
        images.append(dict(id=image_id, file_name=name, height=height, width=width))
        for _ in range(rng.integers(1, max_boxes + 1)):
            w, h = int(rng.integers(width // 8, width // 2)), int(rng.integers(height // 8, height // 2))
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            number = len(annotations) + 1
            category_id = 1 + number % len(classes)
            cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), (255 // category_id, 40 * category_id, 20), -1)
            annotations.append(
                dict(id=number, image_id=image_id, category_id=category_id, bbox=[x, y, w, h], area=w * h, iscrowd=0)
            )
        cv2.imwrite(str(folder / "images" / name), picture)
    categories = [dict(id=number, name=name) for number, name in enumerate(classes, start=1)]
    path = folder / "annotations.json"
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def make_task(folder: Path, **changes: Any) -> Path:
    """Writes three tiny data sets and ``folder/task.yaml``, a task from line_a to line_b; returns the latter.

    Args:
        folder: where to.
        **changes: top-level keys of the task to replace.
    """
    parts = {}
    for name in ("a", "b", "b_test"):
        make_coco(folder / name, n_images=8, seed=len(name))
        parts[name] = dict(annotations=f"{name}/annotations.json", images=f"{name}/images")
    target = dict(domain="line_b", train=parts["b"], num_annotated=3, unlabelled="b/images", test=parts["b_test"])
    source = dict(domain="line_a", train=parts["a"], val=parts["a"])
    task = dict(name="tiny", classes=["part"], image_size=[64, 96], source=source, target=target, epochs=dict(base=6))
    (folder / "task.yaml").write_text(yaml.safe_dump(task | changes))
    return folder / "task.yaml"


def result_line(method: str, seed: int, score: float, kind: str = "baseline", **more: Any) -> dict[str, Any]:
    """A line of the benchmark's results, of task s → t."""
    metrics = {"target mAP": score / 2, "target mAP_50": score, "source mAP": 30.0, "source mAP_50": 80.0}
    run = dict(source="s", task="t", method=method, title=method.upper(), kind=kind, shots=10, seed=seed)
    run |= dict(iterations=240, detector="small", weights=None)
    return {**run, "metrics": metrics, "adaptation_seconds": 60.0, **more}


META_KEYS = (
    "filename",
    "ori_filename",
    "ori_shape",
    "img_shape",
    "pad_shape",
    "scale_factor",
    "flip",
    "flip_direction",
    "img_norm_cfg",
    "domain",
)
MEMORY_SIZES_HW = [(8, 12), (4, 6), (2, 3)]
NUM_PROTOTYPES = 4


def make_domains(folder: Path, classes: Sequence[str] = ("part",), n_images: int = 4) -> Path:
    """Writes two tiny data sets, ``folder/day`` and ``folder/night``; returns ``folder``."""
    for seed, domain in enumerate(("day", "night")):
        make_coco(folder / domain, n_images=n_images, classes=classes, seed=seed)
    return folder


def make_memory(folder: Path) -> dict[str, str]:
    """Writes a file of random prototypes for ``day`` and ``night``; returns their paths by domain."""
    generator = torch.Generator().manual_seed(0)
    files = {}
    for domain in ("day", "night"):
        maps = [torch.randn(NUM_PROTOTYPES, *size, generator=generator) for size in MEMORY_SIZES_HW]
        files[domain] = str(folder / f"{domain}_cluster.pth")
        write_maps(files[domain], maps, {"domain": domain})
    return files


def make_config(
    path: Path, data: Path, classes: Sequence[str] = ("part",), memory: dict[str, str] | None = None, **top: Any
) -> Path:
    """Writes a config of a detector that trains an epoch on ``make_domains`` in a second or two; returns ``path``.

    Args:
        path: where to write.
        data: what ``make_domains`` returned.
        classes: class names.
        memory: memory files, for a config of stage II (source day, target night); without, the base stage on day.
        **top: top-level keys to replace.
    """

    def dataset(domain: str, **extra: Any) -> dict:
        root = f"${{data_roots.{domain}}}"
        files = dict(ann_file=f"{root}/annotations.json", img_prefix=f"{root}/images")
        return dict(type="DomainCocoDataset", domain=domain, classes=tuple(classes), **files, **extra)

    load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
    finish = [
        dict(type="RandomFlip", flip_ratio=0.5),
        dict(type="FitResize", img_scale=(64, 96)),
        dict(type="Pad", size=(64, 96), pad_val=dict(img=(114.0, 114.0, 114.0))),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
        dict(type="DefaultFormatBundle"),
        dict(type="Collect", keys=["img", "gt_bboxes", "gt_labels"], meta_keys=META_KEYS),
    ]
    affine = dict(type="RandomAffine", scaling_ratio_range=(0.5, 2), border=(-32, -48))
    mosaic = dict(img_scale=(64, 96), pad_val=114.0)
    if memory is None:
        train = dict(
            type="MultiImageMixDataset",
            dataset=dataset("day", pipeline=load),
            pipeline=[dict(type="Mosaic", **mosaic), affine, *finish],
        )
    else:
        train = dict(
            type="CrossDomainMixDataset",
            domains=[
                dict(dataset=dataset("day", pipeline=load), times=1),
                dict(dataset=dataset("night", pipeline=load), times=1),
            ],
            pipeline=[dict(type="CrossDomainCopyPaste"), dict(type="SameDomainMosaic", **mosaic), affine, *finish],
        )
    test_transforms = [
        dict(type="FitResize"),
        dict(type="RandomFlip"),
        dict(type="Pad", size=(64, 96), pad_val=dict(img=(114.0, 114.0, 114.0))),
        dict(type="DefaultFormatBundle"),
        dict(type="Collect", keys=["img"], meta_keys=META_KEYS),
    ]
    flip_aug = dict(type="MultiScaleFlipAug", img_scale=(64, 96), flip=False, transforms=test_transforms)
    test = dict(
        type="DomainConcatDataset",
        datasets=[dataset("night"), dataset("day")],
        pipeline=[dict(type="LoadImageFromFile"), flip_aug],
    )
    stage_two = dict(
        default_domain="night",
        adapter=dict(
            type="MemoryAdapter",
            channels=32,
            memory=dict(
                domains=["day", "night"], num_prototypes=NUM_PROTOTYPES, sizes_hw=MEMORY_SIZES_HW, files=memory
            ),
        ),
        foreground=dict(
            type="ForegroundBranch",
            in_channels=128,
            loss=dict(type="DiceLoss", use_sigmoid=True, activate=True, loss_weight=2.0),
        ),
    )
    config = dict(
        custom_imports=dict(imports=["ms2a.plugin"], allow_failed_imports=False),
        data_roots={domain: str(data / domain) for domain in ("day", "night")},
        source_domain="day",
        target_domain="night",
        model=dict(
            type="MS2AYOLOX",
            input_size=(64, 96),
            random_size_range=(1, 3),
            random_size_interval=1,
            backbone=dict(type="CSPDarknet", deepen_factor=0.33, widen_factor=0.125),
            neck=dict(type="YOLOXPAFPN", in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1),
            bbox_head=dict(type="MS2AYOLOXHead", num_classes=len(classes), in_channels=32, feat_channels=32),
            train_cfg=dict(assigner=dict(type="SimOTAAssigner", center_radius=2.5)),
            test_cfg=dict(score_thr=0.0, nms=dict(type="nms", iou_threshold=0.6), max_per_img=5),
            **(stage_two if memory else {}),
        ),
        data=dict(samples_per_gpu=2, workers_per_gpu=0, train=train, val=test, test=test),
        optimizer=dict(
            type="SGD",
            lr=0.001,
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
        ),
        optimizer_config=dict(grad_clip=None),
        lr_config=dict(
            policy="YOLOX",
            warmup="exp",
            by_epoch=False,
            warmup_by_epoch=True,
            warmup_ratio=1,
            warmup_iters=1,
            num_last_epochs=1,
            min_lr_ratio=0.05,
        ),
        runner=dict(type="EpochBasedRunner", max_epochs=2),
        custom_hooks=[
            dict(type="ModeSwitchHook", num_last_epochs=1, priority=48),
            dict(type="SyncNormHook", num_last_epochs=1, interval=1, priority=48),
            dict(type="MemoryEMAHook", momentum=0.0001, priority=49),
        ],
        checkpoint_config=dict(interval=1),
        evaluation=dict(interval=2, metric="bbox"),
        log_config=dict(interval=1, hooks=[dict(type="TextLoggerHook")]),
        log_level="INFO",
        seed=0,
        load_from=None,
        resume_from=None,
        workflow=[("train", 1)],
        fp16=dict(loss_scale="dynamic"),
        find_unused_parameters=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in (config | top).items()))
    return path


def make_checkpoint(path: Path, config: Path, classes: Sequence[str] = ("part",), seed: int = 0) -> Path:
    """Writes a checkpoint of the config's detector with random weights; returns ``path``."""
    torch.manual_seed(seed)
    model = build_detector(load_config(config).model)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):  # strong enough for maps that differ from image to image
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(dict(meta=dict(CLASSES=list(classes)), state_dict=model.state_dict()), path)
    return path


def calibrate(checkpoint: Path, config: Path, domain: str = "night") -> None:
    """Fills a memory and brings maps, logits and box sizes to the ranges that training brings them to."""
    content = torch.load(checkpoint, weights_only=True)
    torch.manual_seed(1)
    for key, value in content["state_dict"].items():
        if "prototypes" in key:
            value.normal_()
        elif key.endswith(".weight") and ("q_lin" in key or "multi_level_conv_" in key):
            value.mul_(0.05)
    model = build_detector(load_config(config).model)
    model.load_state_dict(content["state_dict"])
    for module in model.train().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean over batches
    with torch.no_grad(), model._reading([dict(domain=domain)] * 4):
        model.bbox_head(model.extract_feat(torch.rand(4, 3, 128, 160) * 255))
    torch.save({**content, "state_dict": model.state_dict()}, checkpoint)
