"""Significant bits of 16-bit pictures, and kinds of pixels that no stage can read."""

from collections.abc import Sequence
from pathlib import Path

from ms2a.datasets.check.cache import PictureCache
from ms2a.datasets.check.headers import Header
from ms2a.datasets.findings import Findings
from ms2a.datasets.readable import decoded

SAMPLE = 32
"""How many 16-bit pictures of a set are decoded, spread evenly."""
DEPTHS = (8, 10, 12, 14, 16)
WIDEST = 16
"""Bits of a sample that are read."""
ENOUGH = 14
"""So many significant bits or fewer of 16 need saying: the network would see a quarter of its range or less."""


def largest_value(path: Path) -> int | None:
    """The largest sample of a picture; None where it cannot be decoded."""
    pixels = decoded(path, "unchanged")
    return None if pixels is None else int(pixels.max())


def check_depth(
    pictures: Sequence[tuple[Path, Header]], bit_depth: int | None, findings: Findings, cache: PictureCache
) -> int | None:
    """Finds how many bits of 16-bit pictures are used.

    Args:
        pictures: files and their headers.
        bit_depth: what the user says, or None.
        findings: gets what is found.
        cache: remembers the largest values.

    Returns:
        The bits that hold the largest value of the sample, one of :data:`DEPTHS`; None without 16-bit pictures.
    """
    wide = [(path, header) for path, header in pictures if header.bits > WIDEST or header.is_float]
    if wide:
        kind = "floating-point" if wide[0][1].is_float else "whole"
        what = f"pictures of {wide[0][1].bits}-bit {kind} numbers, which are not read"
        findings.add("error", what, wide[0][0].name, "save them with 8 or 16 bits", len(wide))
    deep = [path for path, header in pictures if 8 < header.bits <= WIDEST and not header.is_float]
    sample = deep[:: max(1, len(deep) // SAMPLE)]
    values = {path: cache.fact(path, "largest", largest_value) for path in sample}
    values = {path: value for path, value in values.items() if value is not None}
    if not values:
        return None
    path, largest = max(values.items(), key=lambda item: item[1])
    bits = largest.bit_length()
    depth = next(depth for depth in DEPTHS if bits <= depth)
    example = f"the largest value of {len(values)} looked at is {largest}, in {path.name}"
    if bit_depth is None and bits <= ENOUGH:
        what = f"pictures of 16 bits with at most {bits} in use: the network would see 0 to {largest >> 8} of 255"
        findings.add("error", what, example, f"give bit_depth: {depth} (16 leaves them as they are)", len(deep))
    elif bit_depth is not None and bits > bit_depth:
        what = f"pictures of 16 bits whose bright parts bit_depth: {bit_depth} cuts off"
        findings.warn(what, example, f"give bit_depth: {depth}", len(deep))
    return depth
