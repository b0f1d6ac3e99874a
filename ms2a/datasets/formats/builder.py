"""The COCO dictionary that every format ends in, and what is said on the way there."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ms2a.datasets.boxes import Box, as_xywh, box_of_rotated_box, ordered_box
from ms2a.datasets.check.boxes import ORDERED, ROTATED
from ms2a.datasets.check.flags import read_ignored
from ms2a.datasets.findings import Findings
from ms2a.datasets.pictures import Pictures
from ms2a.errors import UserError

IGNORE = "ignore"
"""What a class map gives for names whose boxes are regions to ignore: neither counted nor punished."""


class Picture(NamedTuple):
    """A picture in the COCO dictionary: its id, path relative to the image folder, and upright size in pixels."""

    id: int
    name: str
    width: int
    height: int


@dataclass
class _Object:
    image_id: int
    label: str | None  # None: a region of every class
    box_xyxy: Box
    ignore: bool


class CocoBuilder:
    """Collects pictures and boxes.

    Args:
        images: folder of the pictures.
        classes: names to keep, in the order of the labels; None: every name found.
        class_map: from names in the files to class names or :data:`IGNORE`; objects of names that are not in it are
            left out. None: names are taken as they are.

    Raises:
        UserError: the folder does not exist.
    """

    def __init__(
        self, images: str | os.PathLike, classes: Sequence[str] | None, class_map: Mapping[str, str] | None = None
    ) -> None:
        self.findings = Findings()
        self.pictures = Pictures(images, self.findings)
        self.classes = None if classes is None else list(classes)
        self.class_map = class_map
        self.first_pixel = 0
        self.declared: list[str] = []
        """Names that the files list, in their order; it is kept where no classes are given."""
        self._pictures: list[Picture] = []
        self._annotated_in: dict[str, Path] = {}
        self._objects: list[_Object] = []

    def picture(
        self,
        name: str | None,
        stem: str,
        annotated_in: Path,
        stated_wh: tuple[int, int] | None = None,
        same_folders: bool = False,
    ) -> Picture:
        """Adds the picture that a file is about; one that was added before gets another entry, for the check to merge.

        Args:
            name: what the file calls the picture, if it does.
            stem: name without ending, for files that name none or another one.
            annotated_in: the file.
            stated_wh: width and height that the file gives, which the check of the data compares with the picture's
                own; None: those of the upright picture.
            same_folders: the folders of the files may be called like those of the pictures, see
                :meth:`~ms2a.datasets.pictures.Pictures.require`.

        Raises:
            UserError: the picture is missing or unreadable.
        """
        found = self.pictures.require(name, stem, annotated_in, same_folders)
        if found in self._annotated_in:
            places = f"{found} in {self._annotated_in[found]} and in {annotated_in}"
            self.findings.note("pictures annotated in several places", places)
        self._annotated_in.setdefault(found, annotated_in)
        width, height = stated_wh or self.pictures.header(found).size_wh
        self._pictures.append(Picture(len(self._pictures) + 1, found, width, height))
        return self._pictures[-1]

    def add_box(
        self, picture: Picture, label: str, box_xyxy: Box, ignore: bool = False, degrees: float = 0.0, shape: str = ""
    ) -> None:
        """Adds an object.

        Args:
            picture: where the object is.
            label: its name in the files.
            box_xyxy: two opposite corners in pixels from 0, in any order.
            ignore: it is a region to ignore.
            degrees: the box is turned by so much about its centre; the box around it is taken.
            shape: what the box was made of, in the plural ("polygons"), if it was drawn as something else.
        """
        if ordered_box(box_xyxy) != tuple(box_xyxy):
            self.findings.note(f"{ORDERED}, put in order", picture.name)
            box_xyxy = ordered_box(box_xyxy)
        if degrees % 180:
            self.findings.note(ROTATED, picture.name)
            box_xyxy = box_of_rotated_box(box_xyxy, degrees)
        if shape:
            self.findings.note(f"{shape} replaced by the box around them", picture.name)
        if self.class_map is not None:
            if label not in self.class_map:
                self.findings.warn(f"objects called {label!r} left out, not named by the class map", picture.name)
                return
            label = self.class_map[label]
        self._objects.append(
            _Object(picture.id, None if label == IGNORE else label, box_xyxy, ignore or label == IGNORE)
        )

    def add_region(self, picture: Picture, box_xyxy: Box) -> None:
        """Adds a region that is to be ignored for every class."""
        self._objects.append(_Object(picture.id, None, box_xyxy, True))

    def ignored(self, stated: Mapping[str, Any]) -> bool:
        """Whether what is stated of an object makes it a region to ignore."""
        return bool(read_ignored(stated, self.findings))

    def left_out_pictures(self, what: str, remedy: str = "") -> None:
        """Counts the pictures of the folder that no file is about."""
        left = [name for name in self.pictures.names if name not in self._annotated_in]
        if left:
            self.findings.note(what, left[0], remedy, len(left))

    def _mapped(self, names: Sequence[str]) -> list[str]:
        """Names by the class map, without those that are left out or ignored."""
        if self.class_map is None:
            return list(names)
        return [self.class_map[name] for name in names if self.class_map.get(name, IGNORE) != IGNORE]

    def build(self) -> dict[str, Any]:
        """The COCO dictionary. Boxes are as they were drawn: the check of the data clips and drops.

        Raises:
            UserError: no object of the classes.
        """
        names = Counter(item.label for item in self._objects if item.label is not None)
        classes = self.classes or list(dict.fromkeys([*self._mapped(self.declared), *sorted(names)]))
        if not any(names[name] for name in classes):
            raise UserError(
                f"no object of the classes {classes} in {len(self._pictures)} picture(s); names found: "
                f"{sorted(names)}; a class map renames them"
            )
        for name in sorted(set(names) - set(classes)):
            self.findings.warn(f"objects called {name!r} left out, which is not among the classes", count=names[name])
        ids = {name: number for number, name in enumerate(classes, start=1)}
        annotations = [
            {"image_id": item.image_id, "category_id": category_id, "bbox": as_xywh(item.box_xyxy)}
            | {"iscrowd": int(item.ignore)}
            for item in self._objects
            for category_id in (ids.values() if item.label is None else [ids.get(item.label)])
            if category_id is not None
        ]
        coco = {
            "images": [
                {"id": picture.id, "file_name": picture.name, "width": picture.width, "height": picture.height}
                for picture in self._pictures
            ],
            "annotations": [{"id": number, **item} for number, item in enumerate(annotations, start=1)],
            "categories": [{"id": number, "name": name} for name, number in ids.items()],
        }
        return coco
