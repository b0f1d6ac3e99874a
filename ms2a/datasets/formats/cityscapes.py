"""Cityscapes: boxes of the visible pixels of every instance, from ``gtFine_*_instanceIds.png``."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ms2a.datasets.findings import Finding, Findings
from ms2a.datasets.readable import decoded, unreadable
from ms2a.errors import UserError
from ms2a.progress import Progress

# Classes with instances that the benchmark evaluates (caravan and trailer are not), in the order of their ids.
CLASSES = {
    24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
IMAGE_SUFFIX, INSTANCE_SUFFIX = "_leftImg8bit.png", "_gtFine_instanceIds.png"
FOGGY_DENSITIES = ("0.005", "0.01", "0.02")


def read_cityscapes(root: str | os.PathLike, part: str) -> tuple[dict[str, Any], list[Finding]]:
    """Reads one part of Cityscapes.

    A pixel of an instance holds class id × 1000 + number; one of a group that could not be told apart holds the class
    id alone and becomes a crowd.

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``.
        part: ``"train"`` or ``"val"``.

    Returns:
        COCO dictionary, with file names ``<city>/<name>.png`` below ``leftImg8bit/<part>``, and findings. ``area`` is
        the number of visible pixels.

    Raises:
        UserError: a folder, an annotation of a picture or a picture of an annotation is missing.
    """
    images, instances = Path(root, "leftImg8bit", part), Path(root, "gtFine", part)
    names = {path.relative_to(images).as_posix()[: -len(IMAGE_SUFFIX)] for path in images.glob(f"*/*{IMAGE_SUFFIX}")}
    annotated = {
        path.relative_to(instances).as_posix()[: -len(INSTANCE_SUFFIX)]
        for path in instances.glob(f"*/*{INSTANCE_SUFFIX}")
    }
    if not names:
        raise UserError(f"no picture *{IMAGE_SUFFIX} in the cities of {images}; unpack leftImg8bit_trainvaltest there")
    if lacking := sorted(names ^ annotated):
        raise UserError(
            f"{len(lacking)} of {len(names | annotated)} scenes have no picture in {images} or no {INSTANCE_SUFFIX} in "
            f"{instances}, the first is {lacking[0]}; unpack both archives whole"
        )
    coco: dict[str, Any] = {"images": [], "annotations": []}
    findings = Findings()
    for number, name in enumerate(Progress(sorted(names), desc=f"Cityscapes {part}", unit="image"), start=1):
        path = instances / (name + INSTANCE_SUFFIX)
        ids = decoded(path, "unchanged")
        if ids is None or ids.ndim != 2:
            raise unreadable(path, " as one channel of ids; unpack gtFine_trainvaltest again")
        height, width = ids.shape
        coco["images"].append({"id": number, "file_name": name + IMAGE_SUFFIX, "width": width, "height": height})
        for annotation in boxes_of_instances(ids):
            coco["annotations"].append({"id": len(coco["annotations"]) + 1, "image_id": number, **annotation})
            if annotation["iscrowd"]:
                findings.note("groups that could not be told apart, taken for crowds", name)
    coco["categories"] = [{"id": class_id, "name": name} for class_id, name in CLASSES.items()]
    return coco, list(findings)


def boxes_of_instances(ids: np.ndarray) -> list[dict[str, Any]]:
    """Boxes of the instances of one picture.

    Args:
        ids: (H, W), integers as in ``gtFine_*_instanceIds.png``.

    Returns:
        For each instance, in the order of the ids, ``category_id``, ``iscrowd``, ``bbox`` (left, top, width, height
        in pixels, of the visible ones) and ``area`` (their number).
    """
    annotations = []
    for instance in map(int, np.unique(ids)):
        crowd = instance < 1000
        class_id = instance if crowd else instance // 1000
        if class_id in CLASSES:
            mask = (ids == instance).astype(np.uint8)
            box, area = list(map(float, cv2.boundingRect(mask))), cv2.countNonZero(mask)
            annotations.append({"category_id": class_id, "iscrowd": int(crowd), "bbox": box, "area": area})
    return annotations


def foggy(coco: dict[str, Any], root: str | os.PathLike, part: str, density: str) -> dict[str, Any]:
    """The same annotations for the pictures of Foggy Cityscapes, which show the same scenes.

    Args:
        coco: what :func:`read_cityscapes` returned.
        root: folder that holds ``leftImg8bit_foggy``.
        part: ``"train"`` or ``"val"``.
        density: of the fog, one of :data:`FOGGY_DENSITIES`.

    Raises:
        UserError: a picture is missing, or pictures of other densities lie in the folder, which Stage I reads whole.
    """
    folder = Path(root, "leftImg8bit_foggy", part)
    suffix = f"_leftImg8bit_foggy_beta_{density}.png"
    images = [
        {**image, "file_name": image["file_name"].removesuffix(IMAGE_SUFFIX) + suffix} for image in coco["images"]
    ]
    if missing := [image["file_name"] for image in images if not (folder / image["file_name"]).is_file()]:
        raise UserError(
            f"{len(missing)} of {len(images)} foggy pictures are not in {folder}, the first is {missing[0]}; unpack "
            "leftImg8bit_trainvaltest_foggy whole"
        )
    if others := [path for path in sorted(folder.glob("*/*.png")) if not path.name.endswith(suffix)]:
        raise UserError(
            f"{folder} holds {len(others)} pictures of other densities than {density}, the first is {others[0].name}; "
            "move them elsewhere: Stage I reads the folder whole and would store each scene several times"
        )
    return {**coco, "images": images}
