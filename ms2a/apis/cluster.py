"""Stage I, second half: clusters the channel maps of each domain into prototypes."""

import os
from collections.abc import Sequence
from pathlib import Path

import faiss

from ms2a.artefacts import provenance
from ms2a.engine.distributed import choose_device
from ms2a.errors import UserError
from ms2a.memory.clustering import DEFAULT_ITERATIONS, cluster_maps
from ms2a.memory.files import features_path, prototypes_path, read_features, write_maps


def cluster_domains(
    fea_root_path: str | os.PathLike,
    domains: Sequence[str],
    n_clusters: int,
    out_path: str | os.PathLike | None = None,
    seed: int = 0,
    n_iter: int = DEFAULT_ITERATIONS,
    device: str | None = None,
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

    Returns:
        the files written.

    Raises:
        UserError: a feature file is missing, truncated or refused, or holds fewer (distinct) rows than K.
    """
    chosen = choose_device(device)
    if device and chosen.type == "cuda" and not faiss.get_num_gpus():
        print("faiss was installed without GPU support (see requirements/gpu.txt): clustering on the CPU")
    for domain in domains:  # all of them first, before minutes of work
        if not features_path(fea_root_path, domain).is_file():
            raise UserError(
                f"feature file {features_path(fea_root_path, domain)} does not exist; "
                f"run extract_fea_fewshot.py --depart {domain} first, or check --fea_root_path"
            )
    out_path = out_path or fea_root_path
    return [
        _cluster_domain(fea_root_path, domain, n_clusters, out_path, seed, n_iter, str(chosen)) for domain in domains
    ]


def _cluster_domain(
    fea_root_path: str | os.PathLike,
    domain: str,
    n_clusters: int,
    out_path: str | os.PathLike,
    seed: int,
    n_iter: int,
    device: str,
) -> Path:
    rows, features_meta = read_features(features_path(fea_root_path, domain))
    labels = [f"{domain}, level {level} of {len(rows)}" for level in range(1, len(rows) + 1)]
    found = [
        cluster_maps(maps, n_clusters, seed, n_iter, device, label) for maps, label in zip(rows, labels, strict=True)
    ]
    meta = dict(
        domain=domain,
        n_clusters=n_clusters,
        n_iter=n_iter,
        num_rows=[len(maps) for maps in rows],
        inertia=[level.inertia for level in found],
        cluster_sizes=[level.sizes.tolist() for level in found],
        provenance=provenance(seed=seed),
        features=features_meta,
    )
    path = prototypes_path(out_path, domain)
    write_maps(path, [level.centroids for level in found], meta)
    return path
