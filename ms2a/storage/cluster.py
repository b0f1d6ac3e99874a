"""Stage I, second half: clusters the channel maps of each domain into prototypes."""

import os
from collections.abc import Sequence
from pathlib import Path

import faiss
from mmcv.runner import get_dist_info

from ms2a.artefacts import check_output, provenance
from ms2a.defaults import CLUSTER_ITERATIONS, NORM
from ms2a.engine.distributed import choose_device, init_distributed
from ms2a.errors import UserError
from ms2a.memory.clustering import cluster_maps
from ms2a.memory.files import check_replaceable, features_path, prototypes_path, read_features, write_maps
from ms2a.memory.sampling import row_weights
from ms2a.memory.shared_rows import cluster_shared_maps


def cluster_domains(
    fea_root_path: str | os.PathLike,
    domains: Sequence[str],
    n_clusters: int,
    out_path: str | os.PathLike | None = None,
    seed: int = 0,
    n_iter: int = CLUSTER_ITERATIONS,
    device: str | None = None,
    launcher: str = "none",
) -> list[Path]:
    """Clusters ``NAME.pth`` of each domain into ``NAME_cluster.pth``.

    Args:
        fea_root_path: folder of the feature files.
        domains: their names.
        n_clusters: K, prototypes per level.
        out_path: folder of the results; default: ``fea_root_path``.
        seed: of the starting centroids.
        n_iter: iterations at most.
        device: ``"cpu"``, ``"cuda"``, …; default: a GPU if there is one. Used if faiss was built for GPUs.
        launcher: see :func:`ms2a.engine.distributed.init_distributed`; each process reads and clusters a part of the
            rows.

    Returns:
        the files written; in all but the first of several processes none.

    Raises:
        UserError: a feature file is missing, truncated or refused, or holds fewer (distinct) rows than K.
    """
    chosen = init_distributed(launcher, choose_device(device))
    if device and chosen.type == "cuda" and not faiss.get_num_gpus():
        print("faiss was installed without GPU support (the extra `gpu` has it): clustering on the CPU")
    check_output(out_path or fea_root_path, is_folder=True)
    for domain in domains:  # all of them first, before minutes of work
        if not features_path(fea_root_path, domain).is_file():
            others = sorted(path.stem for path in Path(fea_root_path).glob(f"{domain}_*.pth"))
            others = [name for name in others if not name.endswith("_cluster")]
            hint = f" (there is {', '.join(others)}, of another kind of prototype)" if others else ""
            raise UserError(
                f"feature file {features_path(fea_root_path, domain)} does not exist; "
                f"run extract_fea_fewshot.py --depart {domain} first, or check `fea_root_path`{hint}"
            )
        check_replaceable(prototypes_path(out_path or fea_root_path, domain), domain, None)
    out_path = out_path or fea_root_path
    paths = [
        _cluster_domain(fea_root_path, domain, n_clusters, out_path, seed, n_iter, str(chosen)) for domain in domains
    ]
    return paths if get_dist_info()[0] == 0 else []


def _cluster_domain(
    fea_root_path: str | os.PathLike,
    domain: str,
    n_clusters: int,
    out_path: str | os.PathLike,
    seed: int,
    n_iter: int,
    device: str,
) -> Path:
    rank, num_processes = get_dist_info()
    rows, features_meta = read_features(features_path(fea_root_path, domain), (rank, num_processes))
    thresholds = features_meta.get("thresholds") if features_meta.get("sample_by") == NORM else None
    found = []
    for level, maps in enumerate(rows):
        label = None if rank else f"{domain}, level {level + 1} of {len(rows)}"
        weights = row_weights(maps, thresholds[level]) if thresholds else None
        cluster = cluster_shared_maps if num_processes > 1 else cluster_maps
        found.append(cluster(maps, n_clusters, seed, n_iter, device, label, weights))
    meta = dict(
        domain=domain,
        n_clusters=n_clusters,
        n_iter=n_iter,
        num_rows=[level.num_rows for level in found],
        inertia=[level.inertia for level in found],
        cluster_sizes=[level.sizes.tolist() for level in found],
        provenance=provenance(seed=seed),
        features=features_meta,
    )
    path = prototypes_path(out_path, domain)
    if rank == 0:
        write_maps(path, [level.centroids for level in found], meta)
    return path
