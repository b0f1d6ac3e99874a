"""Tests a trained detector on its config's test set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.apis.test import check_display, check_out, draw, evaluate, test, write_detections, write_metrics
from ms2a.config import add_cfg_options, load_config
from ms2a.engine.distributed import LAUNCHERS, leave_process_group
from ms2a.errors import UserError, run_main


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config whose data.test is tested")
    parser.add_argument("checkpoint", help="trained weights; they hold the memory")
    parser.add_argument("--out", help="write the detections: .pkl (mmdet's results) or .json (COCO results)")
    parser.add_argument("--eval", nargs="+", choices=["bbox", "proposal"], help="scores to compute")
    parser.add_argument("--show", action="store_true", help="show each image with its detections")
    parser.add_argument("--show-dir", help="folder for images with their detections")
    parser.add_argument("--show-score-thr", type=float, default=0.3, help="lowest score drawn (default: 0.3)")
    parser.add_argument("--work-dir", help="folder for metrics.json, the scores of --eval")
    parser.add_argument("--tta", action="store_true", help="merge each image's detections with its mirror image's")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes were started")
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if not (args.out or args.eval or args.show or args.show_dir):
        raise UserError("nothing to do: give --eval bbox, --out FILE, --show-dir DIR or --show")
    if args.out:
        check_out(args.out)
    if args.show:
        check_display()
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Tests, then writes, scores and draws as asked."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    run = test(cfg, args.checkpoint, device=args.device, launcher=args.launcher, tta=args.tta)
    if run:
        print()  # ends the line of the progress bar
        if args.out:
            write_detections(run, args.out)
            print(f"detections: {args.out}")
        if args.eval:
            metrics = evaluate(run, args.eval)
            print(metrics)
            if args.work_dir:
                write_metrics(run, metrics, Path(args.work_dir, "metrics.json"))
        if args.show_dir or args.show:
            draw(run, args.show_dir, args.show_score_thr, args.show)
    leave_process_group()


if __name__ == "__main__":
    run_main(main)
