"""Writes the benchmark as COCO folders."""

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ms2a.artefacts import provenance, read_json, write_json
from ms2a.benchmark.indus_synth.scenes import IMAGE_HW, render_scene
from ms2a.datasets.boxes import as_xywh
from ms2a.datasets.fewshot import nested_splits
from ms2a.errors import UserError
from ms2a.progress import Progress

GENERATOR = "indus_synth"
VERSION = 2
CLASSES = ("part",)
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Sizes:
    """How many images the benchmark has.

    Attributes:
        train: source images to train on.
        val: source images to validate on.
        pool: target images to draw annotated ones from, per target.
        unlabelled: further target images without annotations, per target.
        test: target images to test on, per target.
        shots: numbers of annotated images of the nested splits.
        split_seeds: how many times the splits are drawn.
    """

    train: int = 400
    val: int = 100
    pool: int = 200
    unlabelled: int = 200
    test: int = 150
    shots: tuple[int, ...] = (5, 10, 30, 50)
    split_seeds: int = 5


@dataclass(frozen=True)
class _Job:
    domain: str
    split: str
    index: int
    seed: int
    path: str


def make_benchmark(
    out: str | os.PathLike, seed: int = 0, sizes: Sizes | None = None, workers: int | None = None, progress: bool = True
) -> bool:
    """Renders the benchmark into a folder, whole or not at all, unless it is there already.

    The folder then holds ``s/{train,val}.json``, ``t1`` and ``t2`` with ``test.json``, ``pool.json`` and
    ``split{seed}_{shots}.json``, images in ``{s,t1,t2}/images`` and, without annotations, ``{t1,t2}/unlabelled``.

    Args:
        out: folder to make. One made earlier by this function with other options is replaced.
        seed: of everything random.
        sizes: numbers of images; the defaults of :class:`Sizes` if None.
        workers: processes that render; one per CPU if None. The files do not depend on it.
        progress: shows a progress bar.

    Returns:
        Whether anything had to be rendered.

    Raises:
        UserError: a size is not positive, the pool is smaller than a split, or the folder holds something else.
    """
    out, sizes = Path(out), sizes or Sizes()
    _check(sizes)
    meta = {"generator": GENERATOR, "version": VERSION, "seed": seed, "image_hw": list(IMAGE_HW), **asdict(sizes)}
    meta["shots"] = sorted(set(sizes.shots))
    if is_complete(out, meta):
        return False
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and _read_meta(out).get("generator") != GENERATOR):
        raise UserError(f"{out} exists and was not made by this generator; choose another folder with `out`")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(partial, seed, sizes, workers or os.cpu_count() or 1, progress)
        write_json({**meta, "provenance": provenance(GENERATOR, seed)}, partial / "meta.json")
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def is_complete(out: Path, meta: dict[str, Any]) -> bool:
    """Whether a folder holds exactly the benchmark that ``meta`` describes, no image missing."""
    found = _read_meta(out)
    if {key: found.get(key) for key in meta} != meta:
        return False
    expected = {"s/images": meta["train"] + meta["val"]}
    for target in ("t1", "t2"):
        expected[f"{target}/images"] = meta["pool"] + meta["test"]
        expected[f"{target}/unlabelled"] = meta["unlabelled"]
    return all(len(list((out / folder).glob("*.jpg"))) == count for folder, count in expected.items())


def _read_meta(out: Path) -> dict[str, Any]:
    path = out / "meta.json"
    return read_json(path, "benchmark description") if path.is_file() else {}


def _check(sizes: Sizes) -> None:
    for name, value in asdict(sizes).items():
        if min(value if isinstance(value, tuple) else (value,), default=0) < 1:
            raise UserError(f"{name} must be positive, got {value}")
    if max(sizes.shots) > sizes.pool:
        raise UserError(f"a split of {max(sizes.shots)} images cannot be drawn from a pool of {sizes.pool}")


def _write(root: Path, seed: int, sizes: Sizes, workers: int, progress: bool) -> None:
    jobs = list(_jobs(root, seed, sizes))
    for folder in {Path(job.path).parent for job in jobs}:
        folder.mkdir(parents=True)
    boxes: dict[tuple[str, str], list[np.ndarray]] = {}
    with Progress(total=len(jobs), desc="rendering", unit="image", disable=not progress) as bar:
        for job, found in zip(jobs, _run(jobs, workers), strict=True):
            boxes.setdefault((job.domain, job.split), []).append(found)
            bar.update()
    for (domain, split), found in boxes.items():
        if split == "unlabelled":
            continue
        coco = _coco(split, found, seed)
        write_json(coco, root / domain / f"{split}.json")
        for split_seed in range(sizes.split_seeds if split == "pool" else 0):
            for shots, subset in nested_splits(coco, sizes.shots, split_seed).items():
                write_json(subset, root / domain / f"split{split_seed}_{shots}.json")


def _jobs(root: Path, seed: int, sizes: Sizes) -> Iterator[_Job]:
    target = {"pool": sizes.pool, "unlabelled": sizes.unlabelled, "test": sizes.test}
    counts = {"s": {"train": sizes.train, "val": sizes.val}, "t1": target, "t2": target}
    for domain, splits in counts.items():
        for split, count in splits.items():
            folder = "unlabelled" if split == "unlabelled" else "images"
            for index in range(count):
                yield _Job(domain, split, index, seed, str(root / domain / folder / _file_name(split, index)))


def _file_name(split: str, index: int) -> str:
    return f"{split}_{index:05d}.jpg"


def _run(jobs: list[_Job], workers: int) -> Iterator[np.ndarray]:
    if workers == 1:
        yield from map(_render, jobs)
        return
    with multiprocessing.Pool(workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        yield from pool.imap(_render, jobs, chunksize=4)


def _render(job: _Job) -> np.ndarray:
    """Writes one image and returns the boxes (N, 4) of its parts."""
    scene = render_scene(job.domain, job.split, job.index, job.seed)
    if not cv2.imwrite(job.path, scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise OSError(f"cannot write {job.path}")
    return scene.boxes_xyxy


def _coco(split: str, boxes: list[np.ndarray], seed: int) -> dict[str, Any]:
    height, width = IMAGE_HW
    images, annotations = [], []
    for index, boxes_xyxy in enumerate(boxes):
        image = {"id": index + 1, "file_name": _file_name(split, index), "width": width, "height": height}
        images.append(image)
        for box in map(as_xywh, boxes_xyxy.tolist()):
            annotation = {"id": len(annotations) + 1, "image_id": index + 1, "category_id": 1, "iscrowd": 0}
            annotations.append({**annotation, "bbox": box, "area": box[2] * box[3]})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    info = {"description": f"{GENERATOR} version {VERSION}, seed {seed}, {split}"}
    return {"info": info, "images": images, "annotations": annotations, "categories": categories}
