"""Detections of a trained detector on any images: drawn, and as one COCO-style file."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config

from ms2a.analysis.pictures import FreeNames, write_picture
from ms2a.apis.detector import Detector
from ms2a.apis.onnx_detector import OnnxDetector
from ms2a.artefacts import check_output, provenance, write_json
from ms2a.datasets.config_edits import test_pipeline
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.datasets.load_picture import read_picture
from ms2a.datasets.readable import check_skipped, skip_unreadable, told, why_not
from ms2a.engine.prefetch import prefetch
from ms2a.errors import UserError, warn
from ms2a.memory.domains import choose_domain
from ms2a.progress import Progress

# Threads that load images.
WORKERS = 2


@dataclass(frozen=True)
class Summary:
    """What was found.

    Attributes:
        num_images: images read.
        num_skipped: images that could not be read.
        num_detections: detections drawn.
    """

    num_images: int
    num_skipped: int
    num_detections: int


def infer(
    cfg: Config,
    checkpoint: str | os.PathLike,
    save_dir: str | os.PathLike,
    img: str | os.PathLike | Sequence[str | os.PathLike] = (),
    domain: str | None = None,
    score_thr: float = 0.3,
    device: str | None = None,
    strict: bool = False,
    img_root: str | os.PathLike | None = None,
    engine: str = "auto",
    precision: str = "float32",
) -> Summary:
    """Detects objects, draws them, and writes ``detections.json``.

    The file is in COCO's form: ``images`` (each with its ``domain``), ``categories``, and ``annotations`` with a
    ``score``; it holds all detections that the config lets through, also those too weak to be drawn.

    Args:
        cfg: from :func:`ms2a.config.load_config`; its test pipeline reads the images.
        checkpoint: the trained weights, which hold the memory, or an .onnx file made of them.
        save_dir: folder for the pictures, under the names of the images, and for ``detections.json``.
        img: a folder, an image or a COCO file, or several of these; default: the config's test set, each image with
            its own domain.
        domain: whose memory is read; default: the target's. Of the config's test set it picks that domain's images.
        score_thr: boxes with lower scores are not drawn.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; default: a GPU if there is one.
        strict: stop at an unreadable image instead of skipping it.
        img_root: folder that the names in a COCO file start from.
        engine: what runs the detector, see :func:`ms2a.apis.engines.open_detector`.
        precision: likewise.

    Raises:
        UserError: no images, an unknown domain, a checkpoint that does not fit, unreadable images (``strict``, or all).
    """
    detector = Detector(cfg, checkpoint, device, engine=engine, precision=precision)
    # An ONNX file of one domain's memory has no choice for the config's test set either.
    if domain is not None or (isinstance(detector.model, OnnxDetector) and len(detector.domains) == 1):
        domain = choose_domain(domain, detector.domains, detector.default_domain)
    img = [img] if isinstance(img, str | os.PathLike) else list(img)
    if img:
        _check_apart(img, Path(save_dir))
        own = domain or detector.default_domain
        datasets = [ImageFolderDataset(img, test_pipeline(cfg.data.test), img_root, own, without=save_dir)]
    else:
        datasets = _test_sets(cfg, domain)
    check_output(save_dir, is_folder=True)
    output = _Output(Path(save_dir), detector, score_thr, by_domain=len(datasets) > 1)
    skipped = []
    for dataset, index, detections in _detect(detector, datasets):
        why = detections
        if not isinstance(detections, str):
            why = output.try_to_add(dataset, index, detections, cfg.get("bit_depth"))
        if why is not None:
            skip_unreadable(why, strict)
            skipped.append(why)
    check_skipped(skipped, sum(map(len, datasets)), ", ".join(map(str, img)) or "the test set")
    ran = dict(checkpoint=str(checkpoint), engine=detector.engine, precision=precision)
    output.write_json(ran | dict(provenance=provenance(str(cfg.filename))))
    return Summary(len(output.images), len(skipped), output.num_drawn)


def _check_apart(img: Sequence[str | os.PathLike], save_dir: Path) -> None:
    """Else the next run would take the drawings of this one for images."""
    for folder in img:
        if save_dir.is_dir() and save_dir.resolve() == Path(folder).resolve():
            raise UserError(f"`save_dir={save_dir}` is the folder of images itself; choose another")
        if save_dir.is_dir() and save_dir.resolve().is_relative_to(Path(folder).resolve()):
            warn(f"{save_dir} is not searched for images: drawings go there")


class _Output:
    """The pictures, and the COCO file, in which category i + 1 is class i.

    Args:
        folder: where they go.
        detector: what the detections are of.
        score_thr: lowest score drawn.
        by_domain: put the pictures of each domain in a folder of its own.
    """

    def __init__(self, folder: Path, detector: Detector, score_thr: float, by_domain: bool) -> None:
        self.folder, self.detector, self.score_thr, self.by_domain = folder, detector, score_thr, by_domain
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.num_drawn = 0
        self._names = FreeNames()

    def try_to_add(
        self, dataset: ImageFolderDataset, index: int, detections: Sequence[np.ndarray], bit_depth: int | None
    ) -> str | None:
        """Draws the detections of an image and notes them; returns what kept it from being drawn, if anything did."""
        name = self._names.free(dataset.domain if self.by_domain else None, dataset.names[index])
        if (self.folder / name).resolve() == Path(dataset.path(index)).resolve():
            raise UserError(f"{self.folder / name} would be replaced by its own drawing; choose another `save_dir`")
        try:
            picture = read_picture(dataset.path(index), bit_depth)
            result = self.detector.result(detections, dataset.domain, picture.shape[:2])
            name = write_picture(result.draw(picture, self.score_thr), self.folder / name).relative_to(self.folder)
        except OSError:  # the disk is full, say
            raise
        except Exception as error:
            return why_not(dataset.path(index), error)
        image = dict(id=len(self.images) + 1, file_name=str(name), height=result.size_hw[0], width=result.size_hw[1])
        image["domain"] = dataset.domain
        self.images.append(image)
        self.num_drawn += int((result.scores >= self.score_thr).sum())
        self.annotations += result.to_coco(image["id"], first_id=len(self.annotations) + 1)
        return None

    def write_json(self, info: dict[str, Any]) -> None:
        """Writes ``detections.json``."""
        categories = [dict(id=number, name=name) for number, name in enumerate(self.detector.classes, start=1)]
        content = dict(info=info, images=self.images, annotations=self.annotations, categories=categories)
        write_json(content, self.folder / "detections.json")


def _detect(
    detector: Detector, datasets: Sequence[ImageFolderDataset]
) -> Iterator[tuple[ImageFolderDataset, int, list[np.ndarray] | str]]:
    """Yields data set, index and detections of each image; in their place why there are none, if it can't be used."""
    with Progress(total=sum(map(len, datasets)), desc="detecting", unit="image") as bar:
        for dataset in datasets:
            for index, data in enumerate(prefetch(dataset.__getitem__, range(len(dataset)), WORKERS)):
                yield dataset, index, _try_to_detect(detector, dataset, index, data)
                bar.update()


def _try_to_detect(
    detector: Detector, dataset: ImageFolderDataset, index: int, data: dict[str, Any] | None
) -> list[np.ndarray] | str:
    if data is None:
        return dataset.told(index)
    try:
        return detector.detect_prepared([data])[0]
    except UserError:
        raise
    except Exception as error:  # such as too little memory for a huge picture
        return f"{dataset.path(index)} ({told(error)})"


def _test_sets(cfg: Config, domain: str | None) -> list[ImageFolderDataset]:
    """The images of the config's test set, one data set a domain."""
    parts = cfg.data.test.get("datasets") or [cfg.data.test]
    domains = [part.get("domain") for part in parts]
    if domain is not None and domain not in domains:
        raise UserError(
            f"the config's test set has no images of domain {domain!r}, only of {', '.join(map(str, domains))}; "
            "give --img"
        )
    datasets = []
    for part in parts:
        if domain in (None, part.get("domain")):
            root = part.get("data_root") or ""
            # As in mmdet: names are relative to data_root; an absolute one stays what it is.
            files, folder = os.path.join(root, part["ann_file"]), os.path.join(root, part.get("img_prefix") or "")
            datasets.append(ImageFolderDataset(files, test_pipeline([part, cfg.data.test]), folder, part.get("domain")))
    return datasets
