"""Draws what the network is fed in training: CONFIG --out-dir DIR --num N."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import add_cfg_options, run_command
from ms2a.errors import UserError, seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of a training stage")
    parser.add_argument("--out-dir", required=True, help="folder for the pictures")
    parser.add_argument("--num", type=int, default=16, help="how many images (default: 16)")
    parser.add_argument("--seed", type=seed, default=0, help="of the order, the mixing and the sizes (default: 0)")
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Writes NNNN_<domain>.jpg."""
    if args.num < 1:
        raise UserError(f"--num {args.num} must be 1 or more")
    from ms2a.analysis.browse import draw_inputs
    from ms2a.config import load_config

    drawn = draw_inputs(load_config(args.config, args.cfg_options), args.out_dir, args.num, args.seed)
    print(f"wrote {drawn} pictures to {args.out_dir}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
