"""Readers of annotation formats, all into the same COCO dictionary."""

from ms2a.datasets.formats.detect import FORMATS, detect_format
from ms2a.datasets.formats.read import Annotations, read_annotations

__all__ = ["FORMATS", "Annotations", "detect_format", "read_annotations"]
