"""Annotations of any format as one COCO dictionary, with what was noticed on the way."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ms2a.datasets.findings import Finding
from ms2a.datasets.formats.builder import CocoBuilder
from ms2a.datasets.formats.coco import read_coco_json
from ms2a.datasets.formats.cvat import read_cvat
from ms2a.datasets.formats.detect import FORMATS, detect_format
from ms2a.datasets.formats.kitti import read_kitti
from ms2a.datasets.formats.labelme import read_labelme
from ms2a.datasets.formats.voc import read_voc
from ms2a.datasets.formats.yolo import read_yolo
from ms2a.errors import UserError


class Annotations(NamedTuple):
    """A set of annotated pictures.

    Args:
        coco: COCO dictionary; file names are relative to the image folder.
        findings: what was dropped, clipped, enclosed or assumed, each kind once.
        format: one of :data:`~ms2a.datasets.formats.detect.FORMATS`.
        first_pixel: what the files call the upper left pixel, 0 or 1; in the dictionary it is 0.
    """

    coco: dict[str, Any]
    findings: list[Finding]
    format: str
    first_pixel: int


def read_annotations(
    annotations: str | os.PathLike,
    images: str | os.PathLike,
    classes: Sequence[str] | None = None,
    format: str | None = None,
    first_pixel: int | None = None,
    class_map: Mapping[str, str] | None = None,
    listed: Sequence[str] | None = None,
) -> Annotations:
    """Reads what an annotation tool exported.

    Args:
        annotations: a file or folder.
        images: folder of the pictures.
        classes: names to keep, in the order of the labels; others are left out, which is told. None: every name found.
            A COCO file keeps its categories.
        format: one of :data:`~ms2a.datasets.formats.detect.FORMATS`; None: found out from the content.
        first_pixel: VOC only: what the upper left pixel is called, 0 or 1; None: found out from the values.
        class_map: from names in the files to class names, or to ``"ignore"``; other names are left out, which is told.
        listed: VOC only: the names, without ending, to take.

    Returns:
        The dictionary, with boxes and stated sizes as they are in the files, for
        :func:`~ms2a.datasets.check.sets.check_set` to compare with the pictures; and what was noticed.

    Raises:
        UserError: missing, malformed, of no known format or of several, or without an object of the classes.
    """
    if format is not None and format not in FORMATS:
        raise UserError(f"`format={format}` is not known; known: {', '.join(FORMATS)}")
    if first_pixel not in (None, 0, 1):
        raise UserError(f"`first_pixel={first_pixel}`, expected 0 or 1")
    source = Path(annotations)
    if not source.exists():
        raise UserError(f"annotations {annotations} do not exist; check the path")
    found = format or detect_format(source)
    if found != "voc" and (first_pixel is not None or listed is not None):
        option = "`first_pixel`" if first_pixel is not None else "a list of names"
        raise UserError(f"{option} is for VOC annotations, but those in {annotations} are {found}; leave it out")
    builder = CocoBuilder(images, classes, class_map)
    if found == "coco":
        coco = read_coco_json(source, builder)
    else:
        if found == "voc":
            read_voc(source, builder, first_pixel, listed)
        else:
            {"yolo": read_yolo, "labelme": read_labelme, "cvat": read_cvat, "kitti": read_kitti}[found](source, builder)
        coco = builder.build()
    return Annotations(coco, list(builder.findings), found, builder.first_pixel)
