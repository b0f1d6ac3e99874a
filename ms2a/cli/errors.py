"""Says which errors cost a detector how much: duplicates, loose boxes, false alarms on the background, misses.

ANNOTATIONS.json DETECTIONS.json [--domain NAME] [--classes NAME …], the detections as tools/test.py --out writes them.
"""

import argparse
from collections.abc import Sequence

from ms2a.cli.coco_file import add_answers, answers
from ms2a.cli.command import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("ann_file", help="COCO annotations of a test set")
    parser.add_argument("detections", help="COCO json that tools/test.py --out wrote")
    parser.add_argument("--domain", help="whose detections count, if the file holds several domains'")
    parser.add_argument("--images", help="image folder: the check looks at the pictures too (default: it does not)")
    parser.add_argument("--classes", nargs="+", help="the detector's classes; default: all that are annotated")
    add_answers(parser)


def run(args: argparse.Namespace) -> None:
    """Prints one line for each kind of error."""
    from ms2a.analysis.error_analysis import analyse_errors

    files = args.ann_file, args.detections
    whole, gains = analyse_errors(*files, args.domain, args.classes, args.images, **answers(args))
    print(f"mAP50 {whole:.1f}")
    for kind, gain in gains.items():
        print(f"  without each {kind}: {gain:+.1f}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
