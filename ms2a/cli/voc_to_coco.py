"""Converts Pascal VOC annotations to COCO: XML_FOLDER IMG_FOLDER OUT_JSON.

The same as to_coco with --format voc.
"""

import argparse
from collections.abc import Sequence

from ms2a.cli import to_coco
from ms2a.cli.command import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    to_coco.add_arguments(parser)
    parser.set_defaults(format="voc")


def run(args: argparse.Namespace) -> None:
    """Writes the COCO file."""
    to_coco.run(args)


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
