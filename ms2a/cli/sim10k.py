"""Converts Sim10k to COCO, a training and a validation set: XML_FOLDER IMG_FOLDER OUT_FOLDER.

The annotations are Pascal VOC files; whether they count pixels from 0 or 1 is found out from their values and told.
"""

import argparse
from collections.abc import Sequence

from ms2a.cli.coco_file import answers, checked_coco
from ms2a.cli.command import run_command
from ms2a.cli.kitti import add_split, write_split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("xml", help="folder of the XML files (VOC2012/Annotations)")
    parser.add_argument("images", help="folder of the images (VOC2012/JPEGImages)")
    parser.add_argument("out", help="folder that takes train.json and val.json")
    parser.add_argument("--classes", nargs="+", default=["car"], help="names to keep (default: car)")
    parser.add_argument(
        "--first-pixel", type=int, choices=(0, 1), help="number of the upper left pixel (default: by the values)"
    )
    add_split(parser)


def run(args: argparse.Namespace) -> None:
    """Writes both COCO files."""
    from ms2a.datasets.formats import read_annotations

    coco, findings, _, first_pixel = read_annotations(args.xml, args.images, args.classes, "voc", args.first_pixel)
    options = dict(classes=args.classes, folder_option="IMG_FOLDER", first_pixel=first_pixel, **answers(args))
    coco = checked_coco(coco, args.images, findings, f"Sim10k {args.xml}", **options)
    write_split(coco, args, "sim10k")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
