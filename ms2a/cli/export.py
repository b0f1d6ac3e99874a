"""Writes a trained detector as an ONNX file that holds the memory."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import add_cfg_options, run_command
from ms2a.defaults import EXPORTERS, RUNTIMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of the detector")
    parser.add_argument("checkpoint", help="trained weights; they hold the memory")
    parser.add_argument("out", help="the file to write, e.g. detector.onnx")
    parser.add_argument("--domain", help="whose memory the file holds (default: the target's)")
    parser.add_argument(
        "--all-domains", action="store_true", help="hold the memory of every domain; --domain is the file's default"
    )
    parser.add_argument("--raw", action="store_true", help="write the head's maps, without boxes and NMS")
    parser.add_argument("--size", type=size, metavar="H,W", help="fixed height and width in pixels (default: any)")
    parser.add_argument("--batch", type=int, help="fixed number of images in a batch (default: any; 1 with --size)")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="openvino", help="make the form for it (default: %(default)s)"
    )
    parser.add_argument(
        "--exporter", choices=EXPORTERS, default=EXPORTERS[0], help="which of torch's makes it (default: %(default)s)"
    )
    add_cfg_options(parser)


def size(text: str) -> tuple[int, ...]:
    """Two whole numbers, as the ``type`` of an option.

    Raises:
        ArgumentTypeError: they are no such.
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no height,width such as 128,320")
    return tuple(map(int, parts))


def run(args: argparse.Namespace) -> None:
    """Exports."""
    from ms2a.apis.export import export_onnx
    from ms2a.config import load_config

    options = dict(domain=args.domain, raw=args.raw, all_domains=args.all_domains)
    options |= dict(size=args.size, batch=args.batch, runtime=args.runtime, exporter=args.exporter)
    checked = export_onnx(load_config(args.config, args.cfg_options), args.checkpoint, args.out, **options)
    told = f"agrees with PyTorch in {' and '.join(checked)}" if checked else "not checked"
    print(f"{args.out}: {told}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
