"""What the converters share: a COCO dictionary is checked, told about, and written."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ms2a.errors import UserError

if TYPE_CHECKING:
    from ms2a.datasets.findings import Finding


def add_map(parser: argparse.ArgumentParser, default: Sequence[str] = ()) -> None:
    """Adds ``--map``."""
    parser.add_argument(
        "--map",
        nargs="+",
        default=list(default),
        metavar="NAME=CLASS",
        help="names in the files and the classes that they become, or NAME=ignore for regions to ignore; objects of "
        f"other names are left out (default: {' '.join(default) or 'all names, as they are'})",
    )


def add_answers(parser: argparse.ArgumentParser) -> None:
    """Adds the options that answer what the check of the data may ask."""
    parser.add_argument(
        "--boxes-of",
        choices=("stored", "upright"),
        help="pixels that boxes on photos with a rotation tag are in (default: by where they fit)",
    )
    parser.add_argument("--box-form", choices=("corners", "sizes"), help="of COCO boxes that may be corners")
    parser.add_argument("--bit-depth", type=int, help="significant bits of 16-bit pictures")


def answers(args: argparse.Namespace) -> dict[str, Any]:
    """What the options of :func:`add_answers` say, for :class:`ms2a.datasets.check.sets.Options`.

    Raises:
        UserError: the bit depth cannot be one.
    """
    from ms2a.datasets.load_picture import check_bit_depth

    return dict(boxes_of=args.boxes_of, box_form=args.box_form, bit_depth=check_bit_depth(args.bit_depth))


def read_map(words: Sequence[str]) -> dict[str, str] | None:
    """The mapping of ``--map``; None if it is empty.

    Raises:
        UserError: a word is no NAME=CLASS.
    """
    pairs = [word.partition("=") for word in words]
    if wrong := [word for word, (name, _, label) in zip(words, pairs, strict=True) if not name or not label]:
        raise UserError(f"--map {wrong[0]}: expected NAME=CLASS, e.g. Car=car or Van=ignore")
    return {name: label for name, _, label in pairs} or None


def checked_coco(
    coco: dict[str, Any], images: str | Path | None, findings: Sequence["Finding"], name: str, **options: Any
) -> dict[str, Any]:
    """Checks the dictionary against its pictures, prints what there is to say, and returns it mended.

    Args:
        coco: COCO dictionary.
        images: folder that its file names start from; None: pictures are not looked at.
        findings: what the reader noticed.
        name: what to call the set.
        **options: of the check, see :class:`ms2a.datasets.check.sets.Options`.

    Raises:
        UserError: the annotations do not fit the pictures.
    """
    from ms2a.datasets.check.sets import Options, check_set
    from ms2a.datasets.findings import refuse_errors

    checked = check_set(coco, images, Options(**options), name, findings)
    print("\n".join(checked.lines()))
    refuse_errors(checked.findings, name)
    return checked.coco


def write_coco(coco: dict[str, Any], made_by: str, out: str | Path, seed: int | None = None) -> None:
    """Writes the dictionary and says so."""
    from ms2a.artefacts import provenance, write_json

    write_json({**coco, "provenance": provenance(config=made_by, seed=seed)}, out)
    names = [category["name"] for category in coco["categories"]]
    print(f"wrote {out}: {len(coco['images'])} images, {len(coco['annotations'])} annotations, classes {names}")
