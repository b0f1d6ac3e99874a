"""Parts of :mod:`benchmarks.gpu_check` that measure: always as a ratio to another way on the same machine."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

import faiss
import numpy as np
import torch
from mmcv import Config
from mmdet.apis import set_random_seed, train_detector
from mmdet.models import build_detector
from torch import nn

import ms2a.plugin  # noqa: F401  mmdet's own loop needs the repairs of mmcv too
from benchmarks.gpu_parts import Check
from benchmarks.gpu_training import SCALES, TINY_MEMORY, cityscapes, log_rows
from benchmarks.loader import CLASSES, make_coco, stock_dataset
from ms2a.apis.train import train
from ms2a.engine.fast_inference import speed_up
from ms2a.memory.clustering import cluster_maps
from ms2a.models.build import build_model
from ms2a.storage.extract import ExtractOptions, extract

SKIPPED = 8  # first iterations, while the loader and cuDNN warm up


def stock_config(detector: str, scale: int, batch: int, workers: int, work_dir: Path, device: str) -> Config:
    """Mmdet's YOLOX recipe, at one image size."""
    width, depth = SCALES[detector]
    channels = [int(width * each) for each in (256, 512, 1024)]
    model = dict(
        type="YOLOX",
        input_size=(scale, scale),
        random_size_range=(scale // 32, scale // 32),
        backbone=dict(type="CSPDarknet", deepen_factor=depth, widen_factor=width),
        neck=dict(type="YOLOXPAFPN", in_channels=channels, out_channels=channels[0], num_csp_blocks=round(3 * depth)),
        bbox_head=dict(type="YOLOXHead", num_classes=len(CLASSES), in_channels=channels[0], feat_channels=channels[0]),
        train_cfg=dict(assigner=dict(type="SimOTAAssigner", center_radius=2.5)),
        test_cfg=dict(score_thr=0.01, nms=dict(type="nms", iou_threshold=0.65)),
    )
    runtime = dict(
        data=dict(val=dict(), test=dict(), train_dataloader=dict(samples_per_gpu=batch, workers_per_gpu=workers)),
        optimizer=dict(
            type="SGD",
            lr=1e-3,
            momentum=0.9,
            weight_decay=5e-4,
            nesterov=True,
            paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
        ),
        optimizer_config=dict(grad_clip=None),
        lr_config=dict(policy="fixed"),
        runner=dict(type="EpochBasedRunner", max_epochs=1),
        custom_hooks=[dict(type="ExpMomentumEMAHook", resume_from=None, momentum=1e-4, priority=49)],
        checkpoint_config=None,
        log_config=dict(interval=1, hooks=[dict(type="TextLoggerHook")]),
        log_level="WARNING",
        workflow=[("train", 1)],
        resume_from=None,
        load_from=None,
        gpu_ids=[torch.device(device).index or 0],
        device=device.split(":")[0],
        seed=0,
        work_dir=str(work_dir),
    )
    if device.startswith("cuda"):
        runtime["fp16"] = dict(loss_scale="dynamic")
    return Config(dict(model=model, **runtime))


def train_stock(cfg: Config, annotations: Path, scale: int) -> None:
    """Mmdet's own loop."""
    Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
    set_random_seed(0)
    model = build_detector(cfg.model)
    model.init_weights()
    # mmcv's fp16 hook looks into the run's meta.
    train_detector(model, [stock_dataset(annotations, (scale, scale))], cfg, timestamp=str(time.time_ns()), meta={})


def seconds_of(work_dir: Path) -> tuple[float, float]:
    """Mean seconds of an iteration once all is warm, and of these those spent waiting for the loader."""
    rows = log_rows(work_dir)
    rows = rows[SKIPPED:] if len(rows) > 2 * SKIPPED else rows[1:]
    return mean(row["time"] for row in rows), mean(row["data_time"] for row in rows)


def run_speed(check: Check) -> None:
    """Training and inference against mmdet and against the plain detector."""
    scale, iterations, workers = (64, 4, 1) if check.tiny else (640, 30, 12)
    cases = [("tiny", 2)] if check.tiny else [("YOLOX-S", 8), ("YOLOX-X", 8), ("YOLOX-X", 2)]
    for detector, batch in cases:
        name = f"{detector} at {scale}, batch {batch}"
        count = batch * iterations
        pictures = check.folder / f"pictures{count}"
        annotations = make_coco(pictures, count, (48, 64) if check.tiny else (480, 640))
        folder = check.folder / name.replace(" ", "_").replace(",", "")
        measured: dict[str, tuple[float, float]] = {}
        options = dict(image_size=(scale, scale), random_size_range=(scale // 32,) * 2, workers_per_gpu=workers)
        options |= {"batch_size": batch, "checkpoint_config": None}
        if check.tiny:
            options |= TINY_MEMORY
        with check.step(f"{name}, mmdet"):
            cfg = stock_config(detector, scale, batch, workers, folder / "mmdet", check.device)
            train_stock(cfg, annotations, scale)
            measured["mmdet's YOLOX"] = seconds_of(folder / "mmdet")
        for side, stage in (("plain", "base"), ("MS2A", "pretrain_mom")):
            with check.step(f"{name}, {side}"):
                cfg = cityscapes(stage, annotations, detector, count, **options)
                train(cfg, folder / side, check.device, seed=0, validate=False)
                measured[side] = seconds_of(folder / side)
        report_training(check, name, batch, measured)
    for detector, batch in [("tiny", 1)] if check.tiny else [("YOLOX-X", 1), ("YOLOX-X", 8)]:
        with check.step(f"inference {detector}, batch {batch}"):
            compare_inference(check, detector, scale, batch)


def report_training(check: Check, name: str, batch: int, measured: dict[str, tuple[float, float]]) -> None:
    """Records images a second, ratios, and how much of it is waiting for the loader."""
    for side, (seconds, waiting) in measured.items():
        found = f"{batch / seconds:.1f} images/s, {waiting / seconds:.0%} of it waiting for the loader"
        check.add(f"training, {name}: {side}", found, seconds=seconds, waiting=waiting)
    for side, other, expected, ok in (
        ("plain", "mmdet's YOLOX", "≥ 1", lambda speed: speed >= 1),
        ("MS2A", "plain", "≥ 0.87", lambda speed: speed >= 0.87),
    ):
        if side in measured and other in measured:
            speed = measured[other][0] / measured[side][0]
            check.compare(f"training, {name}: speed of {side} to {other}", speed, expected, ok(speed))


def clock(check: Check, run: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call, after three that do not count; waits for the device."""
    times = []
    for number in range(3 + repeats):
        start = time.perf_counter()
        run()
        if check.on_gpu:
            torch.cuda.synchronize(check.device)
        if number >= 3:
            times.append(time.perf_counter() - start)
    return median(times)


def random_detector(stage: str, detector: str, scale: int, tiny: bool, folder: Path) -> tuple[Config, nn.Module]:
    """A detector of the recipe with random weights, few boxes found by chance, and random prototypes."""
    annotations = make_coco(folder / "one", 2, (48, 64))
    options = dict(image_size=(scale, scale), **(TINY_MEMORY if tiny else {}))
    cfg = cityscapes(stage, annotations, detector, 2, **options)
    model = build_detector(cfg.model)
    model.init_weights()
    return cfg, model.eval()


def compare_inference(check: Check, detector: str, scale: int, batch: int) -> None:
    """Detection of one batch by MS2A and by the plain detector, as tools/test.py runs them."""
    image = torch.rand(batch, 3, scale, scale, device=check.device) * 255
    shapes = dict(img_shape=(scale, scale, 3), ori_shape=(scale, scale, 3), pad_shape=(scale, scale, 3))
    metas = [dict(shapes, scale_factor=np.ones(4, np.float32), domain="foggy_cityscapes")] * batch
    seconds = []
    for stage in ("base", "pretrain_mom"):
        model = speed_up(random_detector(stage, detector, scale, check.tiny, check.folder)[1].to(check.device))

        def run(model: nn.Module = model) -> None:
            with torch.no_grad():
                model(return_loss=False, rescale=False, img=[image], img_metas=[metas])

        seconds.append(clock(check, run, 2 if check.tiny else 20))
    name = f"inference, {detector} at {scale}, batch {batch}"
    check.add(f"{name}: plain", f"{batch / seconds[0]:.1f} images/s")
    ratio = seconds[1] / seconds[0]
    check.compare(f"{name}: time of MS2A to plain", ratio, "≤ 1.1", ratio <= 1.1)


def run_stage1(check: Check) -> None:
    """Extraction against the bare forward pass, and k-means against faiss and scikit-learn."""
    with check.step("extraction"):
        compare_extraction(check)
    count, size = (2000, (4, 4)) if check.tiny else (760_000, (40, 40))
    generator = torch.Generator(check.device).manual_seed(0)
    centres = torch.randn(200, size[0] * size[1], generator=generator, device=check.device)
    rows = torch.empty(count, *size)
    for start in range(0, count, 20_000):
        part = rows[start : start + 20_000].flatten(1)
        chosen = torch.randint(200, (len(part),), generator=generator, device=check.device)
        noise = torch.randn(part.shape, generator=generator, device=check.device)
        part.copy_(centres[chosen] + 2 * noise)
    with check.step("k-means"):
        compare_clustering(check, rows, 10 if check.tiny else 100)


def compare_extraction(check: Check) -> None:
    """Images a second of extraction, and of backbone and neck alone on batches that lie on the device."""
    detector, scale, count = ("tiny", 64, 8) if check.tiny else ("YOLOX-X", 640, 320)
    annotations = make_coco(check.folder / "extraction", count, (48, 64) if check.tiny else (480, 640))
    options = dict(image_size=(scale, scale), memory_img_scale=(scale, scale))
    cfg = cityscapes("base", annotations, detector, 2, **options)
    model = build_detector(cfg.model)
    model.init_weights()
    checkpoint = check.folder / "detector.pth"
    torch.save(dict(meta=dict(CLASSES=list(CLASSES)), state_dict=model.state_dict()), checkpoint)
    model = speed_up(build_model(cfg, checkpoint, check.device))
    batch = torch.rand(8, 3, scale, scale, device=check.device) * 255

    def forward() -> None:
        with torch.no_grad():
            model.neck(model.backbone(batch))

    bare = 8 / clock(check, forward, 2 if check.tiny else 20)
    images, seconds = annotations.parent / "images", []
    for copies in (0, 1 if check.tiny else 5):
        for path in sorted(images.iterdir())[: count * (copies > 0)]:
            for number in range(copies):
                shutil.copyfile(path, path.with_name(f"{number}_{path.name}"))
        start = time.perf_counter()
        options = ExtractOptions(device=check.device, workers=1 if check.tiny else 12)
        extract(cfg, checkpoint, images, "any", check.folder, options)
        seconds.append(time.perf_counter() - start)
    speed = count * copies / (seconds[1] - seconds[0])  # without the start and the end that both have
    found = f"{speed:.0f} images/s, {speed / bare:.2f} of the bare forward pass' {bare:.0f}"
    check.add(f"Stage I, {detector} at {scale}, once it runs; {seconds[0]:.1f} s for the first {count} images", found)


def compare_clustering(check: Check, rows: torch.Tensor, clusters: int) -> None:
    """Ours, faiss on all rows and scikit-learn: seconds, and inertia as a share of ours."""
    flat = rows.flatten(1).numpy()
    sides = {}
    start = time.perf_counter()
    ours = cluster_maps(rows, clusters, 0, 10, device=check.device)
    sides["ours"] = time.perf_counter() - start, ours.inertia[-1]
    start = time.perf_counter()
    kmeans = faiss.Kmeans(flat.shape[1], clusters, niter=10, seed=0, max_points_per_centroid=len(flat))
    kmeans.train(flat)
    sides["faiss"] = time.perf_counter() - start, float(kmeans.index.search(flat, 1)[0].sum())
    size = f"{len(flat):,} × {flat.shape[1]}, K = {clusters}, 10 iterations"
    _report_clustering(check, size, sides)
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        check.add("k-means, scikit-learn", "not installed")
        return
    start = time.perf_counter()
    theirs = KMeans(clusters, n_init=1, max_iter=10, random_state=0, init="random").fit(flat)
    sides = {"ours": sides["ours"], "scikit-learn": (time.perf_counter() - start, float(theirs.inertia_))}
    _report_clustering(check, size, sides)


def _report_clustering(check: Check, size: str, sides: dict[str, tuple[float, float]]) -> None:
    seconds, inertia = sides["ours"]
    for name, (their_seconds, their_inertia) in sides.items():
        if name == "ours":
            continue
        found = f"{their_seconds / seconds:.2f} (ours {seconds:.1f} s), inertia {inertia / their_inertia:.4f} of theirs"
        check.compare(f"k-means, {size}: speed to {name}", found, "≥ 1", their_seconds >= seconds)
