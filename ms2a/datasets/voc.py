"""Pascal VOC annotations (one XML file an image) turned into one COCO dictionary."""

import logging
import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from ms2a.datasets.annotations import mend_annotations
from ms2a.datasets.image_folder import IMAGE_SUFFIXES
from ms2a.errors import UserError

logger = logging.getLogger("mmdet")

PathLike = str | os.PathLike


def voc_to_coco(
    xml: PathLike | Sequence[PathLike], classes: Sequence[str] | None, img_folder: PathLike
) -> dict[str, Any]:
    """Converts VOC annotations.

    A difficult object becomes a crowd region: evaluation does not count it, and in training its place is background, as
    mmdet's YOLOX knows no region to leave out. VOC counts pixels from 1 and includes the last one; COCO counts from 0
    and gives width and height.

    Args:
        xml: folder of XML files, or the files.
        classes: names to keep, in the order of the labels; objects of other names are left out with a warning. None
            keeps every name found, sorted.
        img_folder: where the images are; a size missing from the XML is read there.

    Returns:
        COCO dictionary with file names relative to ``img_folder``.

    Raises:
        UserError: no XML files, one that is malformed, two about one image, an image that is missing or unreadable, or
            no object of the classes.
    """
    paths = _xml_files(xml)
    if not Path(img_folder).is_dir():
        raise UserError(f"image folder {img_folder} does not exist; check the path")
    images, found = [], []
    for path in tqdm(paths, desc="VOC files", unit="file", leave=False):
        root = _parse(path)
        image_id = len(images) + 1
        images.append({"id": image_id, **_image_entry(root, path, Path(img_folder))})
        found += [(image_id, *_object_entry(element, path)) for element in root.iter("object")]
    image, times = Counter(image["file_name"] for image in images).most_common(1)[0]
    if times > 1:
        raise UserError(f"{times} of the {len(paths)} XML files are about image {image}; leave one")
    names = Counter(name for _, name, _, _ in found)
    classes = sorted(names) if classes is None else list(classes)
    if not any(names[name] for name in classes):
        raise UserError(f"no object of the classes {classes} in {len(paths)} XML file(s); names found: {sorted(names)}")
    _warn_of_differences(classes, names)
    ids = {name: number for number, name in enumerate(classes, start=1)}
    annotations = [
        {"id": number, "image_id": image_id, "category_id": ids[name], "bbox": box_xywh, "iscrowd": int(difficult)}
        for number, (image_id, name, box_xywh, difficult) in enumerate((f for f in found if f[1] in ids), start=1)
    ]
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    mended = mend_annotations(coco)
    if mended.warning():
        logger.warning("VOC annotations: %s", mended.warning())
    return coco


def _xml_files(xml: PathLike | Sequence[PathLike]) -> list[Path]:
    if not isinstance(xml, str | os.PathLike):
        paths = [Path(path) for path in xml]
    elif Path(xml).is_dir():
        paths = sorted(path for path in Path(xml).iterdir() if path.suffix.lower() == ".xml")
    else:
        raise UserError(f"folder of XML files {xml} does not exist; check the path")
    if not paths:
        raise UserError(f"no XML files in {xml}; expected one for each annotated image")
    return paths


def _parse(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()
    except FileNotFoundError:
        raise UserError(f"XML file {path} does not exist; check the path") from None
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding that is not known
        raise UserError(f"XML file {path} is malformed ({error}); it may be truncated") from None


def _image_entry(root: ET.Element, path: Path, img_folder: Path) -> dict[str, Any]:
    """File name and size of the image of one XML file."""
    image = _find_image(root.findtext("filename"), path, img_folder)
    width, height = (_whole_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    if width <= 0 or height <= 0:
        picture = cv2.imread(str(image))
        if picture is None:
            raise UserError(f"XML file {path} gives no size, and its image {image} cannot be read")
        height, width = picture.shape[:2]
    return {"file_name": str(image.relative_to(img_folder)), "width": width, "height": height}


def _whole_number(text: str | None) -> int:
    """The number that a text gives; 0 if it gives none."""
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0


def _find_image(filename: str | None, path: Path, img_folder: Path) -> Path:
    """The image an XML file is about: the one it names, else the one of its own name."""
    if filename:
        # Annotation tools write whole paths of the machine they ran on.
        named = img_folder / filename.strip().replace("\\", "/").rsplit("/", 1)[-1]
        if named.is_file():
            return named
    for suffix in IMAGE_SUFFIXES:
        for candidate in (path.stem + suffix, path.stem + suffix.upper()):
            if (img_folder / candidate).is_file():
                return img_folder / candidate
    raise UserError(f"image {filename or path.stem} of XML file {path} is not in {img_folder}; set the image folder")


def _object_entry(element: ET.Element, path: Path) -> tuple[str, list[float], bool]:
    """Name, box (left, top, width, height in pixels from 0) and whether it is difficult."""
    name = (element.findtext("name") or "").strip()
    try:
        x1, y1, x2, y2 = (float(element.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax"))
    except (TypeError, ValueError):
        raise UserError(f"XML file {path}: object {name!r} has no complete bndbox of four numbers") from None
    if not name:
        raise UserError(f"XML file {path}: an object has no name")
    difficult = (element.findtext("difficult") or "0").strip() not in ("0", "")
    return name, [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1], difficult


def _warn_of_differences(classes: Sequence[str], names: Counter) -> None:
    left_out = {name: count for name, count in sorted(names.items()) if name not in classes}
    if left_out:
        logger.warning("VOC annotations: objects of names that are not among the classes left out: %s", left_out)
    unseen = [name for name in classes if not names[name]]
    if unseen:
        logger.warning("VOC annotations: no object of the classes %s", unseen)
