"""An exported detector in the place of the one it was made of."""

import ast
import json
import os
from collections.abc import Sequence

import numpy as np
from mmdet.core.export.model_wrappers import DeployBaseDetector
from torch import Tensor

from ms2a.apis.export import INPUT, METADATA_KEY, open_session
from ms2a.engine.checkpoint import class_mismatch
from ms2a.errors import UserError


class OnnxDetector(DeployBaseDetector):
    """A file of :func:`ms2a.apis.export.export_onnx`, called like mmdet's detectors.

    Args:
        path: the file.
        classes: the class names that the config gives, or None.

    Attributes:
        domains: the one domain whose memory the file holds, or none.
        default_domain: the same, or None.

    Raises:
        UserError: ONNX Runtime is not installed, or the file is missing, damaged, without detections, or made for other
            classes.
    """

    def __init__(self, path: str | os.PathLike, classes: Sequence[str] | None = None):
        session = open_session(path)
        about = json.loads(session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}"))
        if about.get("raw", True):
            raise UserError(f"ONNX file {path} holds no detections; export it by `ms2a export` without --raw")
        if classes and list(classes) != about["classes"]:
            raise UserError(class_mismatch(f"ONNX file {path}", about["classes"], classes))
        super().__init__(about["classes"], device_id=-1)
        self.session = session
        self._path, self._about = path, about
        self.default_domain = about["domain"]
        self.domains = [about["domain"]] if about["domain"] else []

    def test_pipeline(self) -> list[dict]:
        """The test pipeline of the config that the file was made with, as mmdet's transforms are configured.

        Raises:
            UserError: the file holds none: it was exported by an earlier version.
        """
        if "test_pipeline" not in self._about:
            raise UserError(
                f"ONNX file {self._path} says nothing of its test pipeline; export it again or give its config"
            )
        return ast.literal_eval(self._about["test_pipeline"])

    def forward_test(self, imgs: Sequence[Tensor], img_metas: Sequence[Sequence[dict]], **_) -> list[np.ndarray]:
        """Detections (B, K, 5) and labels (B, K); rows of label -1 belong to no class and are left out with it."""
        return self.session.run(None, {INPUT: np.ascontiguousarray(imgs[0].numpy())})
