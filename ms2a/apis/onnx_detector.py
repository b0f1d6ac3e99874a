"""An exported detector in the place of the one it was made of."""

import ast
import os
from collections.abc import Sequence

import numpy as np
import torch
from mmdet.core.export.model_wrappers import DeployBaseDetector
from torch import Tensor

from ms2a.engine.checkpoint import class_mismatch
from ms2a.errors import UserError, warn
from ms2a.runtime import ExportedDetector, ExportError


class OnnxDetector(DeployBaseDetector):
    """A file of :func:`ms2a.apis.export.export_onnx`, called like mmdet's detectors.

    Args:
        path: the file.
        classes: the class names that the config gives, or None.
        engine: see :class:`ms2a.runtime.ExportedDetector`.
        precision: likewise.
        gpu: likewise.

    Attributes:
        domains: the domains whose memory the file holds, or none.
        default_domain: the one that is read if none is named, or None.
        exported: what runs the file.

    Raises:
        UserError: the engine is not installed or can't run the file, or the file is missing, damaged, without
            thresholds, or made for other classes.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        classes: Sequence[str] | None = None,
        engine: str = "auto",
        precision: str = "float32",
        gpu: bool = False,
    ):
        try:
            exported = ExportedDetector(path, engine, precision, torch.get_num_threads(), gpu)
        except ExportError as error:
            raise UserError(str(error)) from None
        if classes and list(classes) != list(exported.classes):
            raise UserError(class_mismatch(f"ONNX file {path}", exported.classes, classes))
        super().__init__(list(exported.classes), device_id=-1)
        self.exported = exported
        self.domains, self.default_domain = exported.domains, exported.default_domain
        self._path, self._told = path, set()

    def test_pipeline(self) -> list[dict]:
        """The test pipeline of the config that the file was made with, as mmdet's transforms are configured."""
        return ast.literal_eval(self.exported.about["test_pipeline"])

    def forward_test(
        self, imgs: Sequence[Tensor], img_metas: Sequence[Sequence[dict]], **_
    ) -> tuple[np.ndarray, np.ndarray]:
        """Detections (B, K, 5) and labels (B, K); rows of label -1 belong to no class and are left out with it."""
        if len(imgs) > 1:
            raise UserError("an ONNX file merges no views: leave out `tta`")
        images = imgs[0].numpy()
        domains = [self._domain(meta.get("domain")) for meta in img_metas[0]]
        try:
            found = self.exported.detect(images, np.ones((len(images), 4), np.float32), domains)
        except ExportError as error:
            raise UserError(str(error)) from None
        most = max(len(labels) for _, _, labels in found)
        detections, numbers = np.zeros((len(images), most, 5), np.float32), np.full((len(images), most), -1)
        for index, (boxes, scores, labels) in enumerate(found):
            detections[index, : len(labels)] = np.c_[boxes, scores]
            numbers[index, : len(labels)] = labels
        return detections, numbers

    def _domain(self, domain: str | None) -> str | None:
        """The domain that is read for a picture of some domain: the only one that the file holds, or its own."""
        if len(self.domains) > 1 or domain in (None, *self.domains):
            return domain
        if self.domains and domain not in self._told:
            self._told.add(domain)
            warn(f"{self._path} has the memory of {self.domains[0]!r} alone: pictures of {domain!r} are read with that")
        return None
