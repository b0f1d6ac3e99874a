"""What the check says of a set: typed, and as lines for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ms2a.datasets.findings import Finding

SIZES_NAMED = 3


@dataclass(frozen=True)
class CheckedSet:
    """A set of pictures as the detector will see them.

    Attributes:
        name: what messages call it.
        coco: the COCO dictionary, mended; without annotations for pictures that have none.
        changed: whether the dictionary is no longer what was read.
        folder: the image folder, or None where pictures were not looked at.
        boxes: number of objects of each class.
        crowd: regions to be ignored: crowds, difficult objects, and boxes with ``ignore``.
        dropped: boxes that were dropped.
        clipped: boxes that were clipped to their picture.
        merged: entries that became one with another of the same picture.
        missing: pictures that are not there or not readable.
        copies: pictures that are another one's copy, byte for byte.
        sizes_wh: number of pictures of each width and height, the most frequent first.
        most_objects: the largest number of objects in one picture.
        first_pixel: whether the annotations count pixels from 0 or from 1.
        bit_depth: significant bits found in 16-bit pictures, or None.
        findings: what was noticed.
    """

    name: str
    coco: dict[str, Any]
    changed: bool
    folder: Path | None
    boxes: dict[str, int]
    crowd: int
    dropped: int
    clipped: int
    merged: int
    missing: int
    copies: int
    sizes_wh: dict[tuple[int, int], int]
    most_objects: int
    first_pixel: int
    bit_depth: int | None
    findings: Sequence[Finding]

    @property
    def num_images(self) -> int:
        """Number of pictures, those that are missing included."""
        return len(self.coco["images"])

    @property
    def num_different(self) -> int:
        """Number of pictures that are there, copies of another one counted once."""
        return self.num_images - self.copies - self.missing

    @property
    def annotated(self) -> bool:
        """Whether the set has annotations at all, or is a folder of pictures."""
        return "annotations" in self.coco

    def paths(self) -> Iterator[Path]:
        """The files of the pictures."""
        return (Path(self.folder or "", image["file_name"]) for image in self.coco["images"])

    def summary(self) -> str:
        """One line: pictures, boxes of each class, and what became of the others."""
        sizes = ", ".join(
            "{}x{} ({})".format(*size, count) for size, count in list(self.sizes_wh.items())[:SIZES_NAMED]
        )
        if len(self.sizes_wh) > SIZES_NAMED:
            sizes += f" and {len(self.sizes_wh) - SIZES_NAMED} sizes more"
        parts = [f"{self.num_images} pictures"]
        if self.annotated:
            classes = ", ".join(f"{name} {count}" for name, count in self.boxes.items())
            parts.append(f"{sum(self.boxes.values())} boxes ({classes})")
            parts += [f"{self.crowd} crowd", f"{self.dropped} dropped", f"{self.clipped} clipped"]
            parts += [f"{self.merged} merged"]
        parts += [f"{self.missing} missing"] if self.missing else []
        parts += [f"sizes {sizes or 'unknown'}"]
        parts += [f"pixels counted from {self.first_pixel}"] if self.annotated else []
        return f"{self.name}: {'; '.join(parts)}"

    def lines(self) -> list[str]:
        """The summary and one line for each finding."""
        return [self.summary(), *(f"  {finding.severity}: {finding.line()}" for finding in self.findings)]

    def has(self, *severities: str) -> bool:
        """Whether there is a finding of one of these severities."""
        return any(finding.severity in severities for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The result without the pictures and boxes themselves."""
        skipped = {"coco", "findings", "folder", "sizes_wh"}
        plain = {key: value for key, value in vars(self).items() if key not in skipped}
        sizes = [{"width": size[0], "height": size[1], "count": count} for size, count in self.sizes_wh.items()]
        findings = [vars(finding) for finding in self.findings]
        return {**plain, "images": self.num_images, "folder": str(self.folder), "sizes": sizes, "findings": findings}
