"""Writes a trained detector as an ONNX file that holds the memory of one domain and takes images only."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import add_cfg_options, run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of the detector")
    parser.add_argument("checkpoint", help="trained weights; they hold the memory")
    parser.add_argument("out", help="the file to write, e.g. detector.onnx")
    parser.add_argument("--domain", help="whose memory the file holds (default: the target's)")
    parser.add_argument("--raw", action="store_true", help="write the head's maps, without boxes and NMS")
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Exports."""
    from ms2a.apis.export import export_onnx
    from ms2a.config import load_config

    cfg = load_config(args.config, args.cfg_options)
    checked = export_onnx(cfg, args.checkpoint, args.out, domain=args.domain, raw=args.raw)
    print(f"{args.out}: {'agrees with PyTorch to 1e-4' if checked else 'not checked'}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
