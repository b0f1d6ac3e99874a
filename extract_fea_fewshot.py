"""Stage I, first command: writes what the base detector sees in a domain's images to OUT_PATH/NAME.pth."""

import argparse
from collections.abc import Sequence

from ms2a.config import add_cfg_options, load_config
from ms2a.engine.distributed import LAUNCHERS, leave_process_group
from ms2a.errors import run_main, seed
from ms2a.memory.files import KINDS
from ms2a.memory.sampling import NORM, UNIFORM
from ms2a.storage.extract import DEFAULT_MAX_SAMPLES, DEFAULT_SAVE_INTERVAL, extract


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depart", required=True, metavar="NAME", help="name of the domain, and of the file written")
    parser.add_argument("--img", required=True, help="folder of images (searched to any depth), or a COCO json")
    parser.add_argument("--img_root", help="folder that the names in the json start from; default: the json's folder")
    parser.add_argument("--config", required=True, help="config of the base detector")
    parser.add_argument("--checkpoint", required=True, help="checkpoint of the base detector")
    parser.add_argument("--out_path", required=True, help="folder to write to")
    parser.add_argument("--batch_size", type=int, default=8, help="images per forward pass; default 8")
    parser.add_argument("--dim", type=int, help="channels of the detector's neck (128, 256, 320); checked if given")
    parser.add_argument(
        "--max-samples",
        type=int,
        default=DEFAULT_MAX_SAMPLES,
        help=f"channel maps to keep per level, drawn at random; 0: all; default {DEFAULT_MAX_SAMPLES}",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the sample; default 0")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, …; default: a GPU if there is one")
    parser.add_argument("--workers", type=int, default=2, help="threads that load images; default 2")
    parser.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of skipping it")
    parser.add_argument("--prototype", choices=list(KINDS), default="map", help="what is sampled; default map")
    parser.add_argument(
        "--sample-by",
        choices=(UNIFORM, NORM),
        default=NORM,
        help="norm, the default: maps that weigh more in k-means get in more often, and knn_cuda.py counts them less; "
        "uniform: all alike, for other tools that read the file",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes were started")
    parser.add_argument(
        "--save-interval",
        type=float,
        default=DEFAULT_SAVE_INTERVAL,
        help="seconds between saves of the state from which the same command goes on after an interruption; default 60",
    )
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Extracts and says where the result is."""
    args = parse_args(argv)
    paths = extract(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.img,
        args.depart,
        args.out_path,
        img_root=args.img_root,
        dim=args.dim,
        batch_size=args.batch_size,
        max_samples=args.max_samples,
        seed=args.seed,
        device=args.device,
        workers=args.workers,
        strict=args.strict,
        prototype=args.prototype,
        sample_by=args.sample_by,
        launcher=args.launcher,
        save_interval=args.save_interval,
    )
    if paths:
        print(f"wrote {' and '.join(map(str, paths))}")
    leave_process_group()


if __name__ == "__main__":
    run_main(main)
