"""Converts annotations of any known format to COCO: ANNOTATIONS IMG_FOLDER OUT_JSON.

Formats: COCO, Pascal VOC, YOLO, LabelMe, CVAT XML, KITTI. The format is found by the content. Everything that is
dropped, clipped, enclosed, left out or assumed is told, each kind in one line with a count.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.coco_file import add_answers, add_map, answers, checked_coco, read_map, write_coco
from ms2a.cli.command import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("annotations", help="file or folder that the annotation tool exported")
    parser.add_argument("images", help="folder of the images")
    parser.add_argument("out", help="COCO file to write")
    parser.add_argument("--classes", nargs="+", help="names to keep, in the order of the labels (default: all)")
    parser.add_argument("--format", help="coco, voc, yolo, labelme, cvat or kitti (default: found by the content)")
    parser.add_argument(
        "--first-pixel", type=int, choices=(0, 1), help="VOC: number of the upper left pixel (default: by the values)"
    )
    parser.add_argument("--list", help="VOC: text file of names without suffix, as in ImageSets/Main: take only these")
    add_answers(parser)
    add_map(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the COCO file."""
    from ms2a.datasets.annotations import order_categories
    from ms2a.datasets.formats import read_annotations
    from ms2a.datasets.formats.voc import read_list

    coco, findings, kind, first_pixel = read_annotations(
        args.annotations,
        args.images,
        classes=args.classes,
        format=args.format,
        first_pixel=args.first_pixel,
        class_map=read_map(args.map),
        listed=read_list(args.list) if args.list else None,
    )
    if args.classes:  # a COCO file keeps its own
        order_categories(coco, args.classes, args.annotations)
    name = f"{kind} annotations {args.annotations}"
    options = dict(classes=args.classes, folder_option="IMG_FOLDER", first_pixel=first_pixel)
    coco = checked_coco(coco, args.images, findings, name, **options, **answers(args))
    write_coco(coco, f"{kind} annotations of {Path(args.annotations).name}", args.out)


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
