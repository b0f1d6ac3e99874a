"""Converts annotations (voc_to_coco) and checkpoints of the authors' release (release)."""

import argparse
from collections.abc import Sequence

from ms2a.cli import release, voc_to_coco
from ms2a.cli.command import run_command

CONVERSIONS = {"voc_to_coco": voc_to_coco, "release": release}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds a command of its own for each conversion."""
    conversions = parser.add_subparsers(required=True, metavar="CONVERSION", dest="conversion")
    for name, module in CONVERSIONS.items():
        summary = module.__doc__.splitlines()[0]
        module.add_arguments(conversions.add_parser(name, help=summary, description=module.__doc__))


def run(args: argparse.Namespace) -> None:
    """Converts."""
    CONVERSIONS[args.conversion].run(args)


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
