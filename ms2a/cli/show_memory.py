"""Draws what a trained detector remembers, and which parts of it an image reads.

CONFIG CHECKPOINT OUT_DIR [--img FILE …]: OUT_DIR/prototypes.png, and for each image OUT_DIR/<name>_level<l>.png with
the attention of a few of its windows in the first adaptation layer. It also says how much the attention depends on the
window that asks: 0 where all windows read the same. With --colours also OUT_DIR/<name>_colours.png, the image in the
colours of each cluster of a NAME_colour_cluster.pth.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import add_cfg_options, run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of the detector")
    parser.add_argument("checkpoint", help="its trained weights, which hold the memory")
    parser.add_argument("out_dir", type=Path, help="folder for the pictures")
    parser.add_argument("--img", nargs="*", default=[], help="images to show the attention of")
    parser.add_argument("--domain", help="whose memory they read; default: the target's")
    parser.add_argument("--colours", metavar="FILE", help="colours to show the images in")
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the pictures."""
    from ms2a.apis.show_memory import show_memory
    from ms2a.config import load_config

    cfg = load_config(args.config, args.cfg_options)
    written = show_memory(cfg, args.checkpoint, args.out_dir, args.img, args.domain, args.colours)
    print(f"wrote {', '.join(path.name for path in written)} to {args.out_dir}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
