"""Stage I, first command: writes what the base detector sees in a domain's images to OUT_PATH/NAME.pth."""

import argparse
from collections.abc import Sequence
from dataclasses import fields

from ms2a.cli.command import add_cfg_options, add_device, add_launcher, run_command
from ms2a.defaults import FILE_ENDINGS, MAX_SAMPLES, NORM, SAVE_INTERVAL, UNIFORM
from ms2a.errors import seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "--depart", required=True, metavar="NAME", help="name of the domain, with which the files written begin"
    )
    parser.add_argument("--img", required=True, help="folder of images (searched to any depth), or a COCO json")
    parser.add_argument("--img_root", help="folder that the names in the json start from; default: the json's folder")
    parser.add_argument("--config", required=True, help="config of the base detector")
    parser.add_argument("--checkpoint", required=True, help="checkpoint of the base detector")
    parser.add_argument("--out_path", required=True, help="folder to write to")
    parser.add_argument("--batch_size", type=int, default=8, help="images per forward pass; default %(default)s")
    parser.add_argument("--dim", type=int, help="channels of the detector's neck (128, 256, 320); checked if given")
    parser.add_argument(
        "--max-samples",
        type=int,
        default=MAX_SAMPLES,
        help="channel maps to keep per level, drawn at random; 0: all; default %(default)s",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the sample; default %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="threads that load images; default %(default)s")
    parser.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of skipping it")
    parser.add_argument(
        "--prototype", choices=list(FILE_ENDINGS), default="map", help="what is sampled; default %(default)s"
    )
    parser.add_argument(
        "--sample-by",
        choices=(UNIFORM, NORM),
        default=NORM,
        help="norm, the default: maps that weigh more in k-means get in more often, and clustering counts them less; "
        "uniform: all alike, for other tools that read the file",
    )
    parser.add_argument(
        "--save-interval",
        type=float,
        default=SAVE_INTERVAL,
        help="seconds between saves of the state from which the same command goes on after an interruption; "
        "default %(default)g",
    )
    add_device(parser)
    add_launcher(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Extracts and says where the result is."""
    from ms2a.config import load_config
    from ms2a.engine.distributed import leave_process_group
    from ms2a.storage.extract import ExtractOptions, extract

    paths = extract(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.img,
        args.depart,
        args.out_path,
        ExtractOptions(**{field.name: getattr(args, field.name) for field in fields(ExtractOptions)}),
    )
    if paths:
        print(f"wrote {' and '.join(map(str, paths))}")
    leave_process_group()


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
