"""Stage I, second command: clusters NAME.pth into prototypes, NAME_cluster.pth, by Euclidean k-means."""

import argparse
from collections.abc import Sequence

from ms2a.engine.distributed import LAUNCHERS, leave_process_group
from ms2a.errors import run_main, seed
from ms2a.memory.clustering import DEFAULT_ITERATIONS
from ms2a.storage.cluster import cluster_domains


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fea_root_path", required=True, help="folder of the NAME.pth files")
    parser.add_argument("--out_path", help="folder to write to; default: the same folder")
    parser.add_argument("--n_clusters", type=int, default=100, help="prototypes per level, K; default 100")
    parser.add_argument("--depart", required=True, nargs="+", metavar="NAME", help="names of the domains")
    parser.add_argument(
        "--n-iter", type=int, default=DEFAULT_ITERATIONS, help="iterations at most; default %(default)s"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the starting centroids; default 0")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, …; default: a GPU if there is one and faiss can use it")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes were started")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Clusters and says where the results are."""
    args = parse_args(argv)
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


if __name__ == "__main__":
    run_main(main)
