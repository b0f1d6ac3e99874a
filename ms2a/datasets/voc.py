"""Pascal VOC annotations turned into one COCO dictionary, see :mod:`ms2a.datasets.formats`."""

import os
from collections.abc import Sequence
from typing import Any

from ms2a.datasets.findings import log_findings, refuse_errors
from ms2a.datasets.formats import read_annotations


def voc_to_coco(xml: str | os.PathLike, classes: Sequence[str] | None, img_folder: str | os.PathLike) -> dict[str, Any]:
    """The COCO dictionary alone; what was noticed is logged."""
    coco, findings, _ = read_annotations(xml, img_folder, classes, "voc")
    log_findings(findings, xml)
    refuse_errors(findings, xml)
    return coco
