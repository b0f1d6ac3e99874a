"""Converts annotations (to_coco, the paper's data sets) and checkpoints (the authors' release, the YOLOX project)."""

import argparse
from collections.abc import Sequence

from ms2a.cli import cityscapes, kitti, release, sim10k, slim, to_coco, voc_to_coco, yolox
from ms2a.cli.command import add_debug, run_command

CONVERSIONS = {
    "to_coco": to_coco,
    "voc_to_coco": voc_to_coco,
    "cityscapes": cityscapes,
    "kitti": kitti,
    "sim10k": sim10k,
    "release": release,
    "yolox": yolox,
    "slim": slim,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds a command of its own for each conversion."""
    conversions = parser.add_subparsers(required=True, metavar="CONVERSION", dest="conversion")
    for name, module in CONVERSIONS.items():
        summary = module.__doc__.splitlines()[0]
        parser = conversions.add_parser(
            name, help=summary, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(parser)
        add_debug(parser)


def run(args: argparse.Namespace) -> None:
    """Converts."""
    CONVERSIONS[args.conversion].run(args)


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
