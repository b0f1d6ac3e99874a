"""A trained detector as a function of pictures."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmcv import Config
from mmdet.datasets import replace_ImageToTensor
from mmdet.datasets.pipelines import Compose

from ms2a.apis.engines import ONNX_SUFFIX, is_onnx, open_detector
from ms2a.apis.onnx_detector import OnnxDetector
from ms2a.apis.pictures import as_bgr, is_path
from ms2a.apis.result import Result
from ms2a.config import load_config
from ms2a.datasets.config_edits import test_pipeline
from ms2a.datasets.readable import is_readable, unreadable
from ms2a.defaults import SCORE_THR
from ms2a.errors import UserError
from ms2a.memory.domains import choose_domain


class Detector:
    """A trained detector: ``Detector(config, checkpoint)`` or ``Detector("model.onnx")``, then ``detector(picture)``.

    Several threads may call one detector.

    Args:
        config: a config file, what :func:`ms2a.config.load_config` gave, or an .onnx file of ``ms2a export`` alone,
            which holds its pre-processing and the memory.
        checkpoint: the trained weights, which hold the memory, or an .onnx file.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; default: a GPU if there is one, and the CPU for .onnx files.
        cfg_options: dotted keys and values that change the config.
        engine: ``"torch"``, ``"onnxruntime"``, ``"openvino"``, ``"opencv"`` or ``"auto"``, see
            :func:`ms2a.apis.engines.open_detector`.
        precision: ``"float32"`` or ``"bfloat16"``, which is faster on processors that have it and changes boxes.

    Attributes:
        classes: class names.
        domains: the domains whose memory can be read; empty for a detector without memory.
        default_domain: the domain of a picture that none is named for: the target.
        engine: what runs it.
        model: mmdet's detector, in the form that is fast and cannot be trained.

    Raises:
        UserError: a file is missing, damaged or does not fit the others, or there is no such device.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike | None = None,
        device: str | None = None,
        cfg_options: Mapping[str, Any] | None = None,
        engine: str = "auto",
        precision: str = "float32",
    ):
        if checkpoint is None and is_path(config) and is_onnx(config):
            gpu = device is not None and torch.device(device).type == "cuda"
            self.model = OnnxDetector(config, None, engine, precision, gpu)
            pipeline = self.model.test_pipeline()
        elif checkpoint is None:
            raise UserError(f"`checkpoint` of config {config} is missing; only an {ONNX_SUFFIX} file can stand alone")
        else:
            cfg = config if isinstance(config, Config) else load_config(config, cfg_options)
            self.model = open_detector(cfg, checkpoint, device, engine, precision)
            pipeline = test_pipeline(cfg.data.test)
        self.engine = self.model.exported.engine if isinstance(self.model, OnnxDetector) else "torch"
        self.classes = tuple(self.model.CLASSES)
        self.domains = list(self.model.domains)
        self.default_domain = self.model.default_domain
        pipeline = replace_ImageToTensor(pipeline)
        self._bit_depth = pipeline[0].get("bit_depth")
        self._load, self._transform = Compose(pipeline[:1]), Compose(pipeline[1:])
        self._device = next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))

    def __call__(
        self,
        images: Any,
        domain: str | None = None,
        score_thr: float = SCORE_THR,
        batch_size: int = 8,
    ) -> Result | list[Result]:
        """Detects objects.

        Args:
            images: a picture in one of the forms that :func:`ms2a.apis.pictures.as_bgr` tells, or a list of them.
            domain: whose memory is read; default: the target's.
            score_thr: detections with lower scores are left out, 0–1. The config has a threshold of its own,
                ``model.test_cfg.score_thr``.
            batch_size: pictures of a list that go through the network at once, if they are of one size there.

        Returns:
            the detections of the picture; of a list, those of each.

        Raises:
            UserError: a picture is missing, unreadable or none, the domain is unknown, or a number is impossible.
        """
        if not 0 <= score_thr <= 1:
            raise UserError(f"`score_thr={score_thr}`: expected a number from 0 to 1")
        if batch_size < 1:
            raise UserError(f"`batch_size={batch_size}`: expected 1 or more")
        domain = choose_domain(domain, self.domains, self.default_domain)
        several = isinstance(images, list | tuple)
        pictures = list(images) if several else [images]
        results: list[Result] = []
        for start in range(0, len(pictures), batch_size):
            chunk = pictures[start : start + batch_size]
            loaded = [self._loaded(picture, domain) for picture in chunk]
            sizes_hw = [item["ori_shape"][:2] for item in loaded]
            found = self.detect_prepared([self._transform(item) for item in loaded])
            for picture, size_hw, rows in zip(chunk, sizes_hw, found, strict=True):
                path = str(picture) if is_path(picture) else None
                results.append(self.result(rows, domain, size_hw, path, score_thr))
        return results if several else results[0]

    @torch.no_grad()
    def detect_prepared(self, items: Sequence[Mapping[str, Any]]) -> list[list[np.ndarray]]:
        """Detections of what the test pipeline made of some pictures, in mmdet's result format.

        Pictures of one size go through the network together, so that no picture's detections depend on another's size.

        Args:
            items: for each picture the pipeline's result: views in ``img`` and ``img_metas``.

        Returns:
            for each picture and class (N, 5) float32: x1, y1, x2, y2 in pixels of the picture, and the score.
        """
        found: list[list[np.ndarray]] = [[] for _ in items]
        views = [[view.data for view in item["img"]] for item in items]
        alike: dict[Any, list[int]] = {}
        for index, of_item in enumerate(views):
            # mmdet merges the views of one picture at a time.
            key = of_item[0].shape if len(of_item) == 1 else index
            alike.setdefault(key, []).append(index)
        for indices in alike.values():
            images = [torch.stack(view).to(self._device) for view in zip(*(views[i] for i in indices), strict=True)]
            metas = [list(view) for view in zip(*(items[i]["img_metas"] for i in indices), strict=True)]
            metas = [[meta.data for meta in view] for view in metas]
            batch = self.model(img=images, img_metas=metas, return_loss=False, rescale=True)
            for index, rows in zip(indices, batch, strict=True):
                found[index] = rows
        return found

    def result(
        self,
        rows: Sequence[np.ndarray],
        domain: str | None,
        size_hw: tuple[int, int],
        path: str | None = None,
        score_thr: float = 0.0,
    ) -> Result:
        """Puts detections in mmdet's result format into a :class:`Result`.

        Args:
            rows: for each class (N, 5).
            domain: whose memory was read.
            size_hw: of the picture.
            path: its file.
            score_thr: detections with lower scores are left out.
        """
        boxes = np.concatenate(rows).astype(np.float32)
        labels = np.repeat(np.arange(len(rows)), [len(of_class) for of_class in rows])
        order = np.argsort(-boxes[:, 4], kind="stable")
        order = order[boxes[order, 4] >= score_thr]
        size_hw = int(size_hw[0]), int(size_hw[1])
        found = boxes[order, :4], boxes[order, 4], labels[order]
        return Result(*found, self.classes, domain, size_hw, path, self._bit_depth)

    def network_input(self, picture: Any, domain: str | None = None) -> torch.Tensor:
        """A picture as the network gets it, scaled and padded: (3, H, W) float32, BGR in 0–255.

        Args:
            picture: as in a call.
            domain: likewise.

        Raises:
            UserError: as in a call.
        """
        domain = choose_domain(domain, self.domains, self.default_domain)
        return self._transform(self._loaded(picture, domain))["img"][0].data.float().to(self._device)

    def _loaded(self, picture: Any, domain: str | None) -> dict[str, Any]:
        """What the first step of the pipeline gives for a file, of any picture."""
        results = dict(domain=domain, bbox_fields=[], mask_fields=[], seg_fields=[])
        if not is_path(picture):
            image = as_bgr(picture)
            names = dict(filename=None, ori_filename=None)
            return results | names | dict(img=image, img_shape=image.shape, ori_shape=image.shape, img_fields=["img"])
        try:
            return self._load(results | dict(img_info=dict(filename=str(picture)), img_prefix=None))
        except Exception:
            if is_readable(picture):
                raise
            raise unreadable(picture) from None
