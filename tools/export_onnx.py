"""Writes a trained detector as an ONNX file that holds the memory of one domain and takes images only."""

import argparse
from collections.abc import Sequence

from ms2a.apis.export import export_onnx
from ms2a.config import add_cfg_options, load_config
from ms2a.errors import run_main


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config of the detector")
    parser.add_argument("checkpoint", help="trained weights; they hold the memory")
    parser.add_argument("out", help="the file to write, e.g. detector.onnx")
    parser.add_argument("--domain", help="whose memory the file holds (default: the target's)")
    parser.add_argument("--raw", action="store_true", help="write the head's maps, without boxes and NMS")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Exports."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    checked = export_onnx(cfg, args.checkpoint, args.out, domain=args.domain, raw=args.raw)
    print(f"{args.out}: {'agrees with PyTorch to 1e-4' if checked else 'not checked'}")


if __name__ == "__main__":
    run_main(main)
