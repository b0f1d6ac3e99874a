"""Stage I, second command: clusters NAME.pth into prototypes, NAME_cluster.pth, by Euclidean k-means."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import add_launcher, run_command
from ms2a.defaults import CLUSTER_ITERATIONS
from ms2a.errors import seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--fea_root_path", required=True, help="folder of the NAME.pth files")
    parser.add_argument("--out_path", help="folder to write to; default: the same folder")
    parser.add_argument("--n_clusters", type=int, default=100, help="prototypes per level, K; default %(default)s")
    parser.add_argument(
        "--depart", required=True, nargs="+", metavar="NAME", help="names of the files, which are those of the domains"
    )
    parser.add_argument(
        "--n-iter", type=int, default=CLUSTER_ITERATIONS, help="iterations at most; default %(default)s"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the starting centroids; default %(default)s")
    parser.add_argument(
        "--device",
        help="cpu, cuda, cuda:1, …; default: a GPU if there is one and faiss can use it (not run on a GPU)",
    )
    add_launcher(parser)


def run(args: argparse.Namespace) -> None:
    """Clusters and says where the results are."""
    from ms2a.engine.distributed import leave_process_group
    from ms2a.storage.cluster import cluster_domains

    paths = cluster_domains(
        args.fea_root_path,
        args.depart,
        args.n_clusters,
        out_path=args.out_path,
        seed=args.seed,
        n_iter=args.n_iter,
        device=args.device,
        launcher=args.launcher,
    )
    for path in paths:
        print(f"wrote {path}")
    leave_process_group()


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
