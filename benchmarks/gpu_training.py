"""Parts of :mod:`benchmarks.gpu_check` that train: results on a GPU against the CPU's, and the memory they take."""

import json
import math
import resource
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from mmcv import Config

from benchmarks.gpu_parts import Check
from benchmarks.loader import make_coco
from ms2a.apis.export import export_onnx
from ms2a.apis.test import evaluate, test
from ms2a.apis.train import train
from ms2a.benchmark.indus_synth import Sizes, make_benchmark
from ms2a.config import CONFIGS, load_config
from ms2a.memory.files import read_features, read_prototypes, write_maps
from ms2a.storage.cluster import cluster_domains
from ms2a.storage.extract import ExtractOptions, extract

SYNTH = "yolox/yolox_fs_n_128x320_indus_synth_{}.py"
CITYSCAPES = "yolox/yolox_fs_x_640x640_50e_cityscapes_{}.py"
# Width and depth of the detector.
SCALES = {"YOLOX-S": (0.5, 0.33), "YOLOX-X": (1.25, 1.33), "tiny": (0.125, 0.33)}
TINY_MEMORY = dict(memory_img_scale=(64, 64), num_prototypes=4)
PROTOTYPES = 8  # of the embedded benchmark here
EACH_ITERATION = {"log_config.interval": 1, "num_last_epochs": 0, "warmup_epochs": 1}


def detector_options(name: str) -> dict[str, Any]:
    """Options that give a config's detector one of ``SCALES``."""
    width, depth = SCALES[name]
    channels = [int(width * each) for each in (256, 512, 1024)]
    parts = dict(channels=channels[0], neck_in_channels=channels, c5_channels=channels[-1])
    return dict(widen_factor=width, deepen_factor=depth, num_csp_blocks=round(3 * depth), **parts)


def cityscapes(stage: str, annotations: Path, detector: str, samples: int, **options: Any) -> Config:
    """The recipe of a stage over generated pictures, ``samples`` images an epoch, random prototypes for a memory.

    Args:
        stage: ``"base"``, ``"pretrain_mom"`` or ``"pretrain_mom_ft"``.
        annotations: of pictures that have :data:`benchmarks.loader.CLASSES`; source and target in one.
        detector: one of ``SCALES``.
        samples: images an epoch.
        **options: of the config; dotted keys too.
    """
    options = {**EACH_ITERATION, "max_epochs": 1, "load_from": None, **detector_options(detector), **options}
    sides = ["source"] if stage == "base" else ["source", "target"]
    for side in sides:
        place = dict(data_root=None, ann_file=str(annotations), img_prefix=str(annotations.parent / "images"))
        options |= {f"{side}_train.{key}": value for key, value in place.items()}
    if stage == "base":
        options["source_train.num_images"] = samples
    else:
        options |= {"source_samples": samples - samples // 2, "target_samples": samples // 2}
        options["source_train.num_images"] = None
    cfg = load_config(CONFIGS / CITYSCAPES.format(stage), options)
    if stage == "pretrain_mom":
        memory = cfg.model.adapter.memory
        memory.files = {domain: str(annotations.parent / f"{domain}.pth") for domain in memory.domains}
        for domain, path in memory.files.items():
            write_maps(
                path, [torch.randn(memory.num_prototypes, *size) for size in memory.sizes_hw], {"domain": domain}
            )
    return cfg


def log_rows(work_dir: Path) -> list[dict]:
    """The training lines of a run's newest log."""
    log = max(work_dir.glob("*.log.json"), key=lambda path: path.stat().st_mtime_ns)
    return [row for row in map(json.loads, log.read_text().splitlines()) if row.get("mode") == "train"]


def losses(work_dir: Path) -> list[float]:
    """The loss of each iteration of a run that logs all."""
    return [row["loss"] for row in log_rows(work_dir)]


def report_losses(check: Check, what: str, found: Sequence[float], reference: Sequence[float] | None = None) -> None:
    """Records whether losses are finite and, over the last iterations, within a tenth of a reference's."""
    last = mean(found[-5:])
    if reference is None:
        check.add(what, f"loss {found[0]:.2f} → {last:.2f}", "finite", all(map(math.isfinite, found)))
        return
    share = last / mean(reference[-5:])
    check.add(what, f"{share:.3f} of the reference's loss", "0.9 to 1.1", 0.9 < share < 1.1)


def run_training(check: Check) -> None:
    """Trains the embedded benchmark and YOLOX-S, and follows both through all that comes after."""
    few = (
        dict(train=8, val=2, pool=10, unlabelled=4, test=4)
        if check.tiny
        else dict(train=96, val=8, pool=10, unlabelled=48, test=24)
    )
    data = check.folder / "indus_synth"
    make_benchmark(data, sizes=Sizes(**few, shots=(10,), split_seeds=1), progress=False)
    common = {"data_roots.indus_synth": str(data), "memory_dir": str(check.folder / "memory"), **EACH_ITERATION}
    base = load_config(CONFIGS / SYNTH.format("base"), {**common, "max_epochs": 2, "random_size_range": (4, 4)})
    work = {name: check.folder / name for name in ("fp32", "fp16", "cpu", "stage2", "640_fp32", "640_fp16")}
    single = Config(base._cfg_dict.to_dict(), filename=base.filename)
    single.fp16 = None
    with check.step("base stage, float32"):
        train(single, work["fp32"], check.device, seed=0, validate=False)
        report_losses(check, "base stage, float32", losses(work["fp32"]))
    with check.step("first iteration on both"):
        train(single, work["cpu"], "cpu", seed=0, validate=False)
        there, here = losses(work["fp32"])[0], losses(work["cpu"])[0]
        difference = abs(there - here) / here
        check.add("first loss, device against CPU", difference, "≤ 0.01", difference <= 0.01)
    with check.step("base stage, float16, resumed"):
        half = Config(base._cfg_dict.to_dict(), filename=base.filename)
        half.runner.max_epochs = 1
        train(half, work["fp16"], check.device, seed=0, validate=False)
        half.runner.max_epochs = 2
        last = train(half, work["fp16"], check.device, seed=0, validate=False, auto_resume=True)
        meta = torch.load(last, weights_only=True)["meta"]
        check.add("float16 run resumed, epoch", meta["epoch"], "2", meta["epoch"] == 2)
        report_losses(check, "float16 against float32, last iterations", losses(work["fp16"]), losses(work["fp32"]))
    checkpoint = work["fp32"] / "latest.pth"
    with check.step("test on both"):
        scores = [evaluate(test(single, checkpoint, device)) for device in (check.device, "cpu")]
        keys = [key for key in scores[0] if key.endswith("bbox_mAP_50")]
        difference = max(abs(scores[0][key] - scores[1][key]) for key in keys)
        check.add("mAP50, device against CPU", difference, "≤ 0.005", difference <= 0.005)
    with check.step("Stage I"):
        compare_stage_1(check, single, checkpoint, data)
    with check.step("stage II, float16"):
        options = {**common, "max_epochs": 1, "load_from": str(checkpoint), "target_times": 2}
        options["num_prototypes"] = PROTOTYPES
        stage_2 = load_config(CONFIGS / SYNTH.format("t1_pretrain_mom"), options)
        last = train(stage_2, work["stage2"], check.device, seed=0, validate=False)
        report_losses(check, "stage II, float16", losses(work["stage2"]))
        exported = export_onnx(stage_2, last, check.folder / "detector.onnx")
        check.add("its ONNX file on the CPU", "agrees with PyTorch" if exported else "not checked", "agrees", exported)
    with check.step("YOLOX-S at 640"):
        train_640(check, work["640_fp32"], work["640_fp16"])


def compare_stage_1(check: Check, cfg: Config, checkpoint: Path, data: Path) -> None:
    """Extracts and clusters on the device and on the CPU; what the device made serves stage II."""
    images = {"indus_synth_s": data / "s/images", "indus_synth_t1": data / "t1/unlabelled"}
    found = []
    for device, out in ((check.device, check.folder / "memory"), ("cpu", check.folder / "memory_cpu")):
        for domain, folder in images.items():
            # Uniform: keys that weigh norms would order the rows by rounding.
            options = ExtractOptions(device=device, max_samples=0, sample_by="uniform")
            extract(cfg, checkpoint, folder, domain, out, options)
        cluster_domains(out, list(images), PROTOTYPES, device=device)
        rows = read_features(out / "indus_synth_t1.pth")[0]
        found.append((rows, read_prototypes(out / "indus_synth_t1_cluster.pth")))
    for name, (there, here) in zip(("maps", "prototypes"), zip(*found, strict=True), strict=True):
        difference = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(there, here, strict=True))
        ok = difference <= 0.02 if name == "maps" else None  # a row between two prototypes may change sides
        check.add(f"Stage I {name}, device against CPU", difference, "" if ok is None else "≤ 0.02", ok)


def train_640(check: Check, single: Path, half: Path) -> None:
    """YOLOX-S at 640 pixels, base recipe, in both precisions."""
    detector, scale, batch, iterations = ("tiny", 64, 2, 3) if check.tiny else ("YOLOX-S", 640, 8, 20)
    annotations = make_coco(check.folder / "pictures", batch * iterations, (480, 640))
    options = dict(image_size=(scale, scale), random_size_range=(scale // 32,) * 2, batch_size=batch, workers_per_gpu=4)
    cfg = cityscapes("base", annotations, detector, batch * iterations, **options)
    train(cfg, half, check.device, seed=0, validate=False)
    report_losses(check, f"{detector} at {scale}, float16", losses(half))
    cfg.fp16 = None
    train(cfg, single, check.device, seed=0, validate=False)
    report_losses(check, f"{detector} at {scale}, float16 against float32", losses(half), losses(single))


def run_memory(check: Check) -> None:
    """The recipe Cityscapes to Foggy Cityscapes, each stage from the one before, and its peak memory."""
    detector, size_hw, iterations = ("tiny", (64, 128), 2) if check.tiny else ("YOLOX-X", (1024, 2048), 50)
    annotations = make_coco(check.folder / "pictures", 8 if check.tiny else 100, size_hw)
    checkpoint = None
    for stage, batch in (("base", 1), ("pretrain_mom", 2), ("pretrain_mom_ft", 4)):
        with check.step(stage):
            options = dict(load_from=checkpoint, workers_per_gpu=2 if check.tiny else 8, batch_size=batch)
            if check.tiny:
                options |= dict(
                    image_size=(64, 64), random_size_range=(2, 3), memory_img_scale=(64, 64), num_prototypes=4
                )
            samples = min(batch * iterations, 100) if stage == "base" else batch * iterations
            cfg = cityscapes(stage, annotations, detector, samples, **options)
            checkpoint = str(peak_memory(check, cfg, f"{stage}, batch {batch}", stage))
            largest = cfg.model.random_size_range[1]
            cfg = cityscapes(
                stage, annotations, detector, 4 * batch, **{**options, "random_size_range": (largest, largest)}
            )
            peak_memory(check, cfg, f"{stage}, batch {batch}, at its largest size {32 * largest}", f"{stage}_largest")


def peak_memory(check: Check, cfg: Config, what: str, name: str) -> Path | None:
    """Trains and records the peak of the device's memory, of the process where that is the CPU."""
    if check.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(check.device)
    cfg.checkpoint_config = dict(interval=1, max_keep_ckpts=1) if "largest" not in name else dict(interval=100)
    last = train(cfg, check.folder / name, check.device, seed=0, validate=False)
    rows = log_rows(check.folder / name)
    finite = all(math.isfinite(row["loss"]) for row in rows)
    if check.on_gpu:
        used, kept = (
            peak(check.device) / 2**30 for peak in (torch.cuda.max_memory_allocated, torch.cuda.max_memory_reserved)
        )
        found = f"{used:.1f} GiB in tensors, {kept:.1f} GiB kept"
    else:
        found = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB of the process"
    check.add(what, f"{found}, {len(rows)} iterations", "finite losses", finite)
    return last
