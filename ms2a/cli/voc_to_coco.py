"""Converts Pascal VOC annotations to COCO: XML_FOLDER IMG_FOLDER OUT_JSON."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import run_command
from ms2a.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("xml", help="folder of XML files, one an image")
    parser.add_argument("images", help="folder of the images")
    parser.add_argument("out", help="COCO file to write")
    parser.add_argument("--classes", nargs="+", help="names to keep, in the order of the labels (default: all, sorted)")
    parser.add_argument("--list", help="text file of names without suffix, as in ImageSets/Main: take only these")


def run(args: argparse.Namespace) -> None:
    """Writes the COCO file."""
    from ms2a.artefacts import provenance, write_json
    from ms2a.datasets.voc import voc_to_coco

    coco = voc_to_coco(args.xml, args.classes, args.images, _listed(args.list) if args.list else None)
    write_json({**coco, "provenance": provenance(config=f"voc_to_coco of {Path(args.xml).name}")}, args.out)
    names = [category["name"] for category in coco["categories"]]
    print(f"wrote {args.out}: {len(coco['images'])} images, {len(coco['annotations'])} annotations, classes {names}")


def _listed(path: str) -> list[str]:
    """The names that a list of VOC selects; only the first word of a line counts."""
    if not Path(path).is_file():
        raise UserError(f"list {path} does not exist; check the path")
    return [line.split()[0] for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
