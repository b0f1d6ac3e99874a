"""Converts weights of the YOLOX project for this detector: IN OUT [--images DIR for ONNX files]."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("input", help="the YOLOX project's file: .pth of any size, or .onnx with folded batch norms")
    parser.add_argument("output", help="where to write the converted checkpoint")
    parser.add_argument("--images", help="for ONNX files: folder of pictures, a hundred will do")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        default=(416, 416),
        metavar=("HEIGHT", "WIDTH"),
        help="for ONNX files: what the pictures are brought to; default 416 416",
    )
    parser.add_argument("--classes", nargs="+", help="class names to record; default: COCO's where there are 80")


def run(args: argparse.Namespace) -> None:
    """Converts one file and prints what it is."""
    from ms2a.apis.convert_yolox import convert_file
    from ms2a.config import size_options

    size_options(list(args.image_size), "of the command line")
    told = convert_file(args.input, args.output, args.images, args.classes, args.image_size)
    print(f"wrote {args.output}: detector={told['size']}, {len(told['classes'])} classes, loaded strictly")
    if told["images"]:
        print(f"batch norm statistics taken over {told['images']} pictures")
    if told["difference"] is not None:
        print(f"outputs differ from ONNX Runtime's by {told['difference']:.1e} of their size at most")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
