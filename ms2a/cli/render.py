"""Renders the generated data indus_synth as COCO folders."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import run_command
from ms2a.errors import seed

SIZES = ("train", "val", "pool", "unlabelled", "test", "shots", "split_seeds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--out", default="data/indus_synth", help="folder to make; default %(default)s")
    parser.add_argument("--seed", type=seed, default=0, help="of everything random; default %(default)s")
    parser.add_argument("--workers", type=int, help="processes that render; as many as CPUs by default")
    sizes = parser.add_argument_group("numbers of images; default: those of the published results")
    sizes.add_argument("--train", type=int, help="source images to train on")
    sizes.add_argument("--val", type=int, help="source images to validate on")
    sizes.add_argument("--pool", type=int, help="labelled images of each target")
    sizes.add_argument("--unlabelled", type=int, help="unlabelled images of each target")
    sizes.add_argument("--test", type=int, help="test images of each target")
    sizes.add_argument("--shots", type=int, nargs="+", help="sizes of the nested splits")
    sizes.add_argument("--split-seeds", type=int, help="how often the splits are drawn")


def run(args: argparse.Namespace) -> None:
    """Renders what is not there yet."""
    from ms2a.benchmark.indus_synth import Sizes, make_benchmark

    given = {name: getattr(args, name) for name in SIZES if getattr(args, name) is not None}
    if "shots" in given:
        given["shots"] = tuple(given["shots"])
    made = make_benchmark(args.out, seed=args.seed, sizes=Sizes(**given), workers=args.workers)
    print(f"{args.out}: {'done' if made else 'already complete, nothing to do'}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
