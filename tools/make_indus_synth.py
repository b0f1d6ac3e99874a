#!/usr/bin/env python
"""Renders the embedded benchmark ``indus_synth`` as COCO folders."""

import argparse
from collections.abc import Sequence

from ms2a.benchmark.indus_synth import Sizes, make_benchmark
from ms2a.errors import run_main, seed


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command."""
    sizes = Sizes()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", default="data/indus_synth", help="folder to make")
    parser.add_argument("--seed", type=seed, default=0, help="of everything random")
    parser.add_argument("--workers", type=int, help="processes that render; as many as CPUs by default")
    parser.add_argument("--train", type=int, default=sizes.train, help="source images to train on")
    parser.add_argument("--val", type=int, default=sizes.val, help="source images to validate on")
    parser.add_argument("--pool", type=int, default=sizes.pool, help="labelled images of each target")
    parser.add_argument("--unlabelled", type=int, default=sizes.unlabelled, help="unlabelled images of each target")
    parser.add_argument("--test", type=int, default=sizes.test, help="test images of each target")
    parser.add_argument("--shots", type=int, nargs="+", default=list(sizes.shots), help="sizes of the nested splits")
    parser.add_argument("--split-seeds", type=int, default=sizes.split_seeds, help="how often the splits are drawn")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command with the given arguments, or those of the command line."""
    args = parse_args(argv)
    names = ("train", "val", "pool", "unlabelled", "test", "split_seeds")
    sizes = Sizes(shots=tuple(args.shots), **{name: getattr(args, name) for name in names})
    made = make_benchmark(args.out, seed=args.seed, sizes=sizes, workers=args.workers)
    print(f"{args.out}: {'done' if made else 'already complete, nothing to do'}")


if __name__ == "__main__":
    run_main(main)
