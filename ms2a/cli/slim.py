"""Keeps a checkpoint's weights alone, in half precision: IN OUT."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("input", help="a checkpoint that training wrote")
    parser.add_argument("output", help="where to write its weights")


def run(args: argparse.Namespace) -> None:
    """Writes the file and says how large it is."""
    from ms2a.apis.slim import slim

    size = slim(args.input, args.output)
    print(f"wrote {args.output}: {size / 1e6:.1f} MB, weights in half precision")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
