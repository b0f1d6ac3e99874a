"""Scores and times a trained detector in torch and in every runtime that is installed, and says which to take."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import add_cfg_options, run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of the detector, whose data.test is tested")
    parser.add_argument("checkpoint", help="trained weights, which hold the memory")
    parser.add_argument("--work-dir", help="folder that the exported files are kept in (default: they are not kept)")
    parser.add_argument(
        "--unlabelled", nargs="+", default=[], help="folders of pictures to calibrate int8 on (default: no int8)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each form is timed (default: %(default)s)")
    parser.add_argument("--images", type=int, default=64, help="pictures that are timed (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of every engine (default: as many as torch uses)")
    parser.add_argument(
        "--of-processor", action="store_true", help="count the processor's seconds: for a machine that others use too"
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Compares and prints."""
    import tempfile

    import cv2

    from ms2a.apis.compare_engines import compare_engines, table
    from ms2a.artefacts import installed_versions
    from ms2a.config import load_config

    cfg = load_config(args.config, args.cfg_options)
    with tempfile.TemporaryDirectory(prefix="ms2a_engines_") as temporary:
        options = dict(unlabelled=args.unlabelled, rounds=args.rounds, images=args.images, threads=args.threads)
        options |= dict(of_processor=args.of_processor)
        rows = compare_engines(cfg, args.checkpoint, args.work_dir or temporary, **options)
    versions = installed_versions("torch", "onnxruntime", "openvino") | dict(opencv=cv2.__version__)
    print(table(rows, versions))
    clock = "of the processor's seconds" if args.of_processor else "of the clock's"
    print(
        f"mAP in percent; images/s {clock} from files to detections, medians; start and memory of a process of its own"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
