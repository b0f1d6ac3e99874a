"""What the families of findings work on: one set of annotated pictures on its way through the check."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ms2a.datasets.check.headers import Header
from ms2a.datasets.findings import Findings
from ms2a.datasets.pictures import Pictures

CHECKED = "checked"
"""Key of a COCO dictionary under which the check keeps what it settled: a part of the set might not tell it again."""
STORED, UPRIGHT = "stored", "upright"
CORNERS, SIZES = "corners", "sizes"


@dataclass(frozen=True)
class Options:
    """What is known about a set besides its files.

    Attributes:
        classes: names of the classes that count; None: all of the file.
        image_size_hw: height and width of what the network sees, or None if that is not known.
        max_per_img: how many detections of a picture are kept, or None.
        bit_depth: significant bits of 16-bit pictures, or None.
        is_test: a missing picture is an error: a test needs all of its pictures.
        needs_boxes: a set without a box is refused, not only warned of.
        boxes_of: ``"stored"`` or ``"upright"``: which pixels of pictures with a rotation tag the boxes are in; None:
            found out.
        box_form: ``"corners"``: boxes are x1, y1, x2, y2; ``"sizes"``: they are x, y, width, height whatever they look
            like; None: as ``"sizes"``, but asked if they look like corners.
        folder_option: what a user calls the setting of the image folder.
        first_pixel: what the annotations' own files call the upper left pixel; told in the summary.
    """

    classes: Sequence[str] | None = None
    image_size_hw: tuple[int, int] | None = None
    max_per_img: int | None = None
    bit_depth: int | None = None
    is_test: bool = False
    needs_boxes: bool = True
    boxes_of: str | None = None
    box_form: str | None = None
    folder_option: str = "img_prefix"
    first_pixel: int = 0


@dataclass
class Working:
    """A set that is being checked.

    Attributes:
        coco: the COCO dictionary; the check mends it in place.
        folder: the image folder, or None where pictures are not looked at.
        options: see :class:`Options`.
        findings: what has been noticed.
        headers: of each picture that can be read, by image id.
        changed: whether the dictionary is no longer what was read.
        dropped, clipped, merged: boxes that are gone, boxes that were cut, entries that became one with another.
        missing: files of the dictionary's pictures that are not there or not readable.
        copies: pictures that are another one's copy, byte for byte.
    """

    coco: dict[str, Any]
    folder: Path | None
    options: Options
    findings: Findings = field(default_factory=Findings)
    headers: dict[Any, Header] = field(default_factory=dict)
    changed: bool = False
    dropped: int = 0
    clipped: int = 0
    merged: int = 0
    missing: int = 0
    copies: int = 0

    @property
    def boxes_of(self) -> str | None:
        """Which pixels of pictures with a rotation tag the boxes are in, as far as that is stated."""
        return self._stated("boxes_of")

    @property
    def box_form(self) -> str | None:
        """Whether boxes are corners or sizes, as far as that is stated."""
        return self._stated("box_form")

    def _stated(self, key: str) -> str | None:
        settled = self.coco.get(CHECKED)
        return (settled if isinstance(settled, dict) else {}).get(key) or getattr(self.options, key)

    def settle(self, key: str, value: str) -> None:
        """Notes in the dictionary what its boxes are from now on."""
        settled = self.coco.get(CHECKED)
        self.coco[CHECKED] = {**(settled if isinstance(settled, dict) else {}), key: value}
        self.changed |= self.coco[CHECKED] != settled

    @cached_property
    def pictures(self) -> Pictures | None:
        """All pictures of the folder; None where there is no folder."""
        return Pictures(self.folder, self.findings) if self.folder and self.folder.is_dir() else None

    @cached_property
    def names_by_id(self) -> dict[Any, str]:
        """Names of the categories that count, by category id."""
        classes = self.options.classes
        return {
            category["id"]: category["name"]
            for category in self.coco["categories"]
            if classes is None or category["name"] in classes
        }

    @cached_property
    def _files_by_id(self) -> dict[Any, str]:
        return {image["id"]: image["file_name"] for image in self.coco["images"]}

    def file_of(self, annotation: dict[str, Any]) -> str:
        """The picture's name that an annotation is of, for examples; empty where none is listed."""
        return self._files_by_id.get(annotation["image_id"], "")

    def annotations_of_classes(self) -> Iterator[dict[str, Any]]:
        """The annotations of the categories that count."""
        return (item for item in self.coco["annotations"] if item["category_id"] in self.names_by_id)

    def objects(self) -> Iterator[dict[str, Any]]:
        """The annotations of the categories that count and are no crowd."""
        return (item for item in self.annotations_of_classes() if not item.get("iscrowd"))

    def boxes_by_class(self) -> dict[str, int]:
        """Objects of each class, in the order of the classes."""
        counts = dict.fromkeys(self.options.classes or self.names_by_id.values(), 0)
        for annotation in self.objects():
            counts[self.names_by_id[annotation["category_id"]]] += 1
        return counts

    def by_image(self) -> dict[Any, list[dict[str, Any]]]:
        """The annotations of each image, by image id."""
        found = defaultdict(list)
        for annotation in self.coco["annotations"]:
            found[annotation["image_id"]].append(annotation)
        return found

    def path(self, image: dict[str, Any]) -> Path:
        """The file of an image."""
        return Path(self.folder or "", image["file_name"])
