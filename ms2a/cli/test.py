"""Tests a trained detector on its config's test set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import add_cfg_options, add_device, add_engine, add_launcher, run_command
from ms2a.defaults import SCORE_THR
from ms2a.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config whose data.test is tested")
    parser.add_argument("checkpoint", help="trained weights, which hold the memory, or an .onnx file")
    parser.add_argument("--out", help="write the detections: .pkl (mmdet's results) or .json (COCO results)")
    parser.add_argument("--eval", nargs="+", choices=["bbox", "proposal"], help="scores to compute")
    parser.add_argument("--show", action="store_true", help="show each image with its detections")
    parser.add_argument("--show-dir", help="folder for images with their detections")
    parser.add_argument(
        "--show-score-thr", type=float, default=SCORE_THR, help="lowest score drawn (default: %(default)s)"
    )
    parser.add_argument(
        "--work-dir", help="folder for metrics.json, the scores of --eval, and for what ms2a report shows"
    )
    parser.add_argument("--tta", action="store_true", help="merge each image's detections with its mirror image's")
    add_device(parser)
    add_engine(parser)
    add_launcher(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Tests, then writes, scores and draws as asked."""
    if not (args.out or args.eval or args.show or args.show_dir):
        raise UserError("nothing to do: give --eval bbox, --out FILE, --show-dir DIR or --show")
    from ms2a.apis.test import (
        check_display,
        check_out,
        draw,
        evaluate,
        test,
        write_detections,
        write_metrics,
        write_run,
    )
    from ms2a.artefacts import check_output
    from ms2a.config import load_config
    from ms2a.engine.distributed import leave_process_group

    if args.out:
        check_out(args.out)
    for folder in filter(None, (args.work_dir, args.show_dir)):
        check_output(folder, is_folder=True)
    if args.show:
        check_display()
    cfg = load_config(args.config, args.cfg_options)
    tested = test(
        cfg,
        args.checkpoint,
        device=args.device,
        launcher=args.launcher,
        tta=args.tta,
        engine=args.engine,
        precision=args.precision,
    )
    if tested:
        print()  # ends the line of the progress bar
        if args.out:
            write_detections(tested, args.out)
            print(f"detections: {args.out}")
        if args.work_dir:
            write_run(tested, args.work_dir)
        if args.eval:
            metrics = evaluate(tested, args.eval)
            print(metrics)
            if args.work_dir:
                write_metrics(tested, metrics, Path(args.work_dir, "metrics.json"))
        if args.show_dir or args.show:
            draw(tested, args.show_dir, args.show_score_thr, args.show)
    leave_process_group()


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
