"""Pascal VOC annotations turned into one COCO dictionary, see :mod:`ms2a.datasets.formats`."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from ms2a.datasets.annotations import mend_annotations
from ms2a.datasets.findings import log_findings
from ms2a.datasets.formats import read_annotations

logger = logging.getLogger("mmdet")


def voc_to_coco(
    xml: str | os.PathLike,
    classes: Sequence[str] | None,
    img_folder: str | os.PathLike,
    listed: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The COCO dictionary alone; what was noticed is logged."""
    coco, findings, *_ = read_annotations(xml, img_folder, classes, "voc", listed=listed)
    log_findings(findings, xml)
    mended = mend_annotations(coco)
    if mended.warning():
        logger.warning("%s: %s", xml, mended.warning())
    return coco
