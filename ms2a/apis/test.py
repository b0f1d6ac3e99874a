"""Testing a trained detector: detections of a config's test set, their scores, files and pictures."""

import copy
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch.distributed as dist
from mmcv import Config
from mmcv.runner import get_dist_info, wrap_fp16_model
from mmdet.apis import multi_gpu_test, single_gpu_test
from mmdet.datasets import build_dataloader, build_dataset
from mmdet.utils import build_ddp, build_dp

from ms2a.analysis.detections import draw_detections
from ms2a.analysis.pictures import FreeNames, write_picture
from ms2a.apis.engines import is_onnx, open_detector
from ms2a.apis.onnx_detector import OnnxDetector
from ms2a.artefacts import atomic_path, check_output, provenance, write_json
from ms2a.datasets.boxes import as_xywh
from ms2a.datasets.config_edits import allow_batches, flip_views, has_views
from ms2a.datasets.load_picture import read_picture
from ms2a.datasets.readable import check_skipped, skip_unreadable, why_not
from ms2a.engine.building import config_mistakes_told
from ms2a.engine.checkpoint import class_mismatch
from ms2a.engine.distributed import choose_device, gather_lists, init_distributed
from ms2a.engine.prefetch import ThreadedLoader
from ms2a.errors import UserError
from ms2a.progress import Progress
from ms2a.settled import write_config

logger = logging.getLogger("mmdet")

# Keys of cfg.evaluation that are for the hook, not for the data set.
HOOK_KEYS = ("interval", "start", "by_epoch", "tmpdir", "gpu_collect", "save_best", "rule", "dynamic_intervals")
PICKLE_SUFFIXES, JSON_SUFFIX = (".pkl", ".pickle"), ".json"


@dataclass
class TestRun:
    """Detections of a test set.

    Attributes:
        dataset: the test set.
        detections: for each image in the set's order, for each class, (N, 5) float32: x1, y1, x2, y2 in pixels of the
            original image and a score in 0–1.
        cfg: the config as it was used.
        checkpoint: the checkpoint's path.
        engine: what ran the detector: ``"torch"``, ``"onnxruntime"``, ``"openvino"`` or ``"opencv"``.
        precision: ``"float32"`` or ``"bfloat16"``.
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    dataset: Any
    detections: list[Sequence[np.ndarray]]
    cfg: Config
    checkpoint: str
    engine: str = "torch"
    precision: str = "float32"

    def images(self) -> Iterator[tuple[str, Path, str, int, Sequence[int], Sequence[np.ndarray]]]:
        """Yields for each image its domain, path, name in the annotations, image id, category ids and detections."""
        detections = iter(self.detections)
        for part in _parts(self.dataset):
            for info in part.data_infos:
                path = Path(part.img_prefix or "", info["filename"])
                yield getattr(part, "domain", ""), path, info["filename"], info["id"], part.cat_ids, next(detections)

    def coco_results(self) -> list[dict[str, Any]]:
        """COCO results, each also with the image's ``file_name`` and ``domain``: ids are unique within one domain."""
        results = []
        for domain, _, name, image_id, category_ids, detections in self.images():
            for category_id, boxes in zip(category_ids, detections, strict=True):
                results += [
                    dict(
                        image_id=image_id,
                        category_id=category_id,
                        bbox=[float(value) for value in as_xywh(box[:4])],
                        score=float(box[4]),
                        file_name=name,
                        domain=domain,
                    )
                    for box in boxes
                ]
        return results


def test(
    cfg: Config,
    checkpoint: str | os.PathLike,
    device: str | None = None,
    launcher: str = "none",
    tta: bool = False,
    engine: str = "auto",
    precision: str = "float32",
) -> TestRun | None:
    """Runs a trained detector over its config's test set.

    Args:
        cfg: from :func:`ms2a.config.load_config`; not changed. Batches are as large as
            ``data.test_dataloader.samples_per_gpu`` says.
        checkpoint: the trained weights, which hold the memory, or an .onnx file made of them.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; default: a GPU if there is one.
        launcher: see :func:`ms2a.engine.distributed.init_distributed`.
        tta: test-time augmentation: merge the detections of each image and of its mirror image.
        engine: what runs the detector, see :func:`ms2a.apis.engines.open_detector`; torch for several processes.
        precision: likewise.

    Returns:
        The detections; None in all but the first of several processes.

    Raises:
        UserError: checkpoint or data missing, truncated or refused, or made for other classes.
    """
    torch_device = init_distributed(launcher, choose_device(device))
    cfg = _settled(cfg, tta)
    with config_mistakes_told(cfg):
        dataset = build_dataset(cfg.data.test)
    options = dict(samples_per_gpu=1, workers_per_gpu=2) | dict(cfg.data.test_dataloader)
    loader = ThreadedLoader(build_dataloader(dataset, dist=launcher != "none", shuffle=False, **options))
    # An ONNX file runs on the CPU unless a GPU is asked for: the usual package has none.
    model = open_detector(cfg, checkpoint, device if is_onnx(checkpoint) else torch_device, engine, precision)
    exported = isinstance(model, OnnxDetector)
    engine = model.exported.engine if exported else "torch"
    if exported and (launcher != "none" or has_views(cfg.data.test)):
        raise UserError("an ONNX file is tested in one process and one view: leave out `launcher` and `tta`")
    logger.info("engine: %s, %s", engine, precision)
    if list(model.CLASSES) != list(dataset.CLASSES):
        raise UserError(class_mismatch(f"checkpoint {checkpoint}", model.CLASSES, dataset.CLASSES))
    if cfg.get("fp16") and torch_device.type == "cuda" and not exported:
        wrap_fp16_model(model)
    if launcher == "none":
        model = build_dp(model, "cpu" if exported else torch_device.type, device_ids=[torch_device.index or 0])
        detections = single_gpu_test(model, loader)
    else:
        model = build_ddp(model, torch_device.type, device_ids=[torch_device.index], broadcast_buffers=False)
        # Over nccl the results go through the GPUs: the machines need no common folder.
        over_nccl = dist.get_backend() == "nccl"
        folder = None if over_nccl else _shared_folder()
        detections = multi_gpu_test(model, loader, folder, gpu_collect=over_nccl)
    _share_skipped(dataset, launcher != "none")
    if detections is None:
        return None
    found, kept = iter(detections), []
    for part in _parts(dataset):
        of_part = [next(found) for _ in range(len(part))]
        kept += part.without_skipped(of_part) if hasattr(part, "skipped") else of_part
    return TestRun(dataset, kept, cfg, str(checkpoint), engine, precision)


test.__test__ = False


def _parts(dataset: Any) -> Sequence[Any]:
    return getattr(dataset, "datasets", [dataset])


def _share_skipped(dataset: Any, distributed: bool) -> None:
    """Lets the first of several processes know the images that any could not read."""
    if distributed:
        known = [part.skipped for part in _parts(dataset) if hasattr(part, "skipped")]
        for number, index in gather_lists([(n, index) for n, skipped in enumerate(known) for index in skipped]):
            known[number].add(index)


def evaluate(run: TestRun, metrics: Sequence[str] = ("bbox",)) -> dict[str, float]:
    """Scores by COCO's rules, with a table of each class.

    Args:
        run: the detections.
        metrics: ``"bbox"``, ``"proposal"``.

    Returns:
        scores; those of several domains by ``<domain>_<score>``.
    """
    options = {key: value for key, value in (run.cfg.get("evaluation") or {}).items() if key not in HOOK_KEYS}
    return dict(run.dataset.evaluate(run.detections, **{**options, "metric": list(metrics), "classwise": True}))


def write_metrics(run: TestRun, metrics: dict[str, float], path: str | os.PathLike) -> None:
    """Writes scores with what they were measured on."""
    config = str(run.cfg.filename)
    ran = dict(config=config, checkpoint=run.checkpoint, engine=run.engine, precision=run.precision)
    write_json(ran | dict(metrics=metrics, provenance=provenance(config)), path)


def write_run(run: TestRun, folder: str | os.PathLike) -> None:
    """Writes what a report of the test is made of: ``detections.json``, and ``config.py``, the config used."""
    write_detections(run, Path(folder, "detections.json"))
    write_config(run.cfg, Path(folder, "config.py"))


def check_out(path: str | os.PathLike) -> None:
    """Checks, before hours of testing, that detections can be written to a file of this name.

    Raises:
        UserError: its suffix is neither .pkl nor .json, or there is a folder of that name.
    """
    if Path(path).suffix not in (*PICKLE_SUFFIXES, JSON_SUFFIX):
        raise UserError(f"`out={path}` must end in .pkl (mmdet's results) or .json (COCO results)")
    check_output(path)


def check_display() -> None:
    """Checks, before hours of testing, that there is a display to show images on; OpenCV would end the process.

    Raises:
        UserError: there is none.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError("`show=True` needs a display and there is none; use `show_dir`")


def write_detections(run: TestRun, path: str | os.PathLike) -> None:
    """Writes mmdet's result list (.pkl) or :meth:`TestRun.coco_results` (.json)."""
    check_out(path)
    if Path(path).suffix == JSON_SUFFIX:
        write_json(run.coco_results(), path)
        return
    with atomic_path(path) as temporary:
        mmcv.dump(run.detections, str(temporary), file_format="pkl")


def draw(run: TestRun, folder: str | os.PathLike | None, score_thr: float = 0.3, show: bool = False) -> None:
    """Draws the detections of every image.

    Args:
        run: the detections.
        folder: pictures go to ``folder/<domain>/<file name>``; None writes none.
        score_thr: boxes with lower scores are left out.
        show: show each in a window until a key is pressed.
    """
    folder = Path(folder) if folder is not None else None
    names, skipped = FreeNames(), []
    bar = Progress(run.images(), total=len(run.detections), desc="drawing", unit="image", leave=False, delay=2)
    for domain, path, name, _, _, detections in bar:
        try:
            image = read_picture(path, run.cfg.get("bit_depth"))
            picture = draw_detections(image, detections, run.dataset.CLASSES, score_thr)
        except (UserError, cv2.error) as error:
            skipped.append(why_not(path, error))
            skip_unreadable(skipped[-1], strict=False)
            continue
        if folder is not None:
            write_picture(picture, folder / names.free(domain, name))
        if show:
            mmcv.imshow(picture, str(path))
    check_skipped(skipped, len(run.detections), "the test set")


def _settled(cfg: Config, tta: bool) -> Config:
    cfg = copy.deepcopy(cfg)
    cfg.data.test.test_mode = True
    loader = cfg.data.test_dataloader
    if tta:
        flip_views(cfg.data.test)
    if has_views(cfg.data.test) and loader.get("samples_per_gpu", 1) > 1:
        print(f"test-time augmentation takes one image at a time: batch size 1 instead of {loader.samples_per_gpu}")
        loader.samples_per_gpu = 1
    allow_batches(cfg.data.test, loader)
    return cfg


def _shared_folder() -> str:
    """A temporary folder whose name all processes know; the one that collects the results removes it."""
    name = [tempfile.mkdtemp(prefix="ms2a_test_") if get_dist_info()[0] == 0 else None]
    dist.broadcast_object_list(name, src=0)
    return name[0]
