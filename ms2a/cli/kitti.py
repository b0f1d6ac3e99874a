"""Converts KITTI's 2D objects to COCO, a training and a validation set: LABELS IMG_FOLDER OUT_FOLDER.

DontCare regions are ignored: neither counted nor punished.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.coco_file import add_answers, add_map, answers, checked_coco, read_map, write_coco
from ms2a.cli.command import run_command
from ms2a.errors import seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("labels", help="folder of the text files, training/label_2 of data_object_label_2")
    parser.add_argument("images", help="folder of the images, training/image_2 of data_object_image_2")
    parser.add_argument("out", help="folder that takes train.json and val.json")
    add_map(parser, default=["Car=car"])
    add_split(parser)


def add_split(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the validation set, and the answers to what the check may ask."""
    parser.add_argument("--val", type=float, default=0.1, help="fraction of the images to hold out (default: 0.1)")
    parser.add_argument("--seed", type=seed, default=0, help="another seed holds out others (default: 0)")
    add_answers(parser)


def run(args: argparse.Namespace) -> None:
    """Writes both COCO files."""
    from ms2a.datasets.formats import read_annotations

    coco, findings, *_ = read_annotations(args.labels, args.images, format="kitti", class_map=read_map(args.map))
    options = dict(folder_option="IMG_FOLDER", **answers(args))
    coco = checked_coco(coco, args.images, findings, f"KITTI {args.labels}", **options)
    write_split(coco, args, "kitti")


def write_split(coco: dict, args: argparse.Namespace, made_by: str) -> None:
    """Writes ``train.json`` and ``val.json``."""
    from ms2a.datasets.formats.split import hold_out

    for part, split in zip(("train", "val"), hold_out(coco, args.val, args.seed), strict=True):
        write_coco(split, f"{made_by} {part}", Path(args.out) / f"{part}.json", args.seed)


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
