"""Converts Cityscapes to COCO: ROOT, the folder with leftImg8bit and gtFine; with --foggy, Foggy Cityscapes as well.

Boxes are those of the visible pixels in gtFine_*_instanceIds.png; groups that could not be told apart are crowds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.coco_file import checked_coco, write_coco
from ms2a.cli.command import run_command

OUT = "instancesonly_filtered_gtFine_{}.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("root", help="folder that holds leftImg8bit and gtFine; ROOT/annotations takes the COCO files")
    parser.add_argument(
        "--parts", nargs="+", choices=("train", "val"), default=["train", "val"], help="parts to convert"
    )
    parser.add_argument(
        "--foggy",
        choices=("0.005", "0.01", "0.02"),
        help="also annotate Foggy Cityscapes of this density (paper: 0.02)",
    )
    parser.add_argument(
        "--foggy-root", help="folder that holds leftImg8bit_foggy (default: foggy_cityscapes beside ROOT)"
    )


def run(args: argparse.Namespace) -> None:
    """Writes a COCO file for each part."""
    from ms2a.datasets.formats.cityscapes import foggy, read_cityscapes

    root = Path(args.root)
    foggy_root = Path(args.foggy_root) if args.foggy_root else root.resolve().parent / "foggy_cityscapes"
    for part in args.parts:
        coco, findings = read_cityscapes(root, part)
        foggy_coco = foggy(coco, foggy_root, part, args.foggy) if args.foggy else None
        coco = checked_coco(coco, root / "leftImg8bit" / part, findings, f"Cityscapes {part}")
        write_coco(coco, f"cityscapes {part}", root / "annotations" / OUT.format(part))
        if foggy_coco is not None:
            name = f"Foggy Cityscapes {args.foggy} {part}"
            foggy_coco = checked_coco(foggy_coco, foggy_root / "leftImg8bit_foggy" / part, findings, name)
            write_coco(foggy_coco, name, foggy_root / "annotations" / OUT.format(part))


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
