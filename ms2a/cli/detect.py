"""Draws a trained detector's detections on images and writes them to SAVE_DIR/detections.json."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import add_cfg_options, add_device, add_engine, run_command
from ms2a.defaults import SCORE_THR


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of the detector")
    parser.add_argument("checkpoint", help="trained weights, which hold the memory, or an .onnx file")
    parser.add_argument("save_dir", help="folder for the pictures and detections.json")
    parser.add_argument("--img", nargs="+", default=[], help="folders, images or COCO files (default: the test set)")
    parser.add_argument("--img_root", help="folder that the names in a COCO file start from; default: the file's")
    parser.add_argument("--domain", help="whose memory is read (default: the target's)")
    parser.add_argument("--score-thr", type=float, default=SCORE_THR, help="lowest score drawn (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of skipping it")
    add_device(parser)
    add_engine(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Detects and draws."""
    from ms2a.apis.inference import infer
    from ms2a.config import load_config

    summary = infer(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.save_dir,
        img=args.img,
        img_root=args.img_root,
        domain=args.domain,
        score_thr=args.score_thr,
        device=args.device,
        strict=args.strict,
        engine=args.engine,
        precision=args.precision,
    )
    skipped = f", {summary.num_skipped} unreadable ones skipped" if summary.num_skipped else ""
    print(
        f"{summary.num_images} images{skipped}: {summary.num_detections} detections of score {args.score_thr:g} and "
        f"better drawn; {args.save_dir}/detections.json holds all"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
