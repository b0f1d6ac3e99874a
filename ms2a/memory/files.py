"""Files of Stage I: sampled channel maps (``NAME.pth``) and prototypes (``NAME_cluster.pth``).

Both are dictionaries of one tensor per level, ``feats1`` (the finest), ``feats2``, ``feats3``, plus ``meta``, a
dictionary that says how the file was made. Files without ``meta``, with NumPy arrays, in half precision, or with
features as (N, C, H, W) are read as well.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ms2a.artefacts import load_torch, memory_file, save_torch
from ms2a.errors import UserError, shortened
from ms2a.memory.domains import check_domain_name

# What a pickled NumPy array consists of, under the names of NumPy 1 and 2; it runs nothing but building the array.
_REBUILD_ARRAY = np.empty(0).__reduce__()[0]
_NUMPY_PARTS = [
    (_REBUILD_ARRAY, "numpy.core.multiarray._reconstruct"),
    (_REBUILD_ARRAY, "numpy._core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float16", "float32", "float64")),
]

# As many as are looked at in one go.
ROWS_AT_ONCE = 4096


def features_path(folder: str | os.PathLike, domain: str) -> Path:
    """Where the sampled channel maps of ``domain`` lie in ``folder``."""
    return Path(folder) / f"{check_domain_name(domain)}.pth"


def prototypes_path(folder: str | os.PathLike, domain: str) -> Path:
    """Where the prototypes of ``domain`` lie in ``folder``."""
    return Path(memory_file(folder, check_domain_name(domain)))


def check_replaceable(path: str | os.PathLike, domain: str, prototype: str | None) -> None:
    """Checks, before the work, that a file to be written replaces none of another domain or kind.

    Args:
        path: the file.
        domain: as its ``meta`` will say.
        prototype: what was sampled, as its ``meta`` will say; None for prototypes.

    Raises:
        UserError: it would. A file that does not say what it is, or is damaged, is no obstacle.
    """
    try:
        content = load_torch(path, "file", mmap=True) if Path(path).is_file() else {}
    except UserError:
        return
    meta = content.get("meta") if isinstance(content, dict) else None
    if not isinstance(meta, dict) or "domain" not in meta:
        return
    theirs = meta["domain"], None if "n_clusters" in meta else meta.get("prototype", prototype)
    if theirs != (domain, prototype):
        what = f"a sample of kind {theirs[1]!r}" if theirs[1] else "prototypes"
        raise UserError(
            f"{path} holds {what} of domain {theirs[0]!r} and would be replaced; choose another name for `depart`, or "
            "another `out_path`"
        )


def write_maps(path: str | os.PathLike, maps: Sequence[Tensor], meta: dict[str, Any]) -> None:
    """Writes channel maps or prototypes, whole or not at all.

    Args:
        path: the file.
        maps: per level (M, H_l, W_l), or (K, H_l, W_l) for prototypes.
        meta: how they were made; strings, numbers and containers of these.
    """
    levels = {f"feats{level}": value.cpu().float() for level, value in enumerate(maps, start=1)}
    save_torch({**levels, "meta": meta}, path)


def read_features(path: str | os.PathLike, share: tuple[int, int] = (0, 1)) -> tuple[list[Tensor], dict[str, Any]]:
    """Reads sampled channel maps.

    Args:
        path: a file written by :func:`write_maps`, or an older one with (N, C, H, W) features.
        share: (r, n) reads the r-th of n parts that follow one another.

    Returns:
        per level the rows, (M, H_l, W_l) float32, which stay in the file until they are used if it can be mapped; and
        the file's meta (empty if it has none).

    Raises:
        UserError: missing, truncated, refused or wrongly shaped file, or values that are not finite.
    """
    return _read(path, "feature file", dims=(3, 4), share=share)


def read_prototypes(path: str | os.PathLike) -> list[Tensor]:
    """Reads prototypes.

    Args:
        path: a ``NAME_cluster.pth``.

    Returns:
        per level the centroids, (K, H_l, W_l) float32.

    Raises:
        UserError: missing, truncated, refused or wrongly shaped file, levels that differ in K, or values that are
            not finite.
    """
    return [maps for maps, _ in read_sized_prototypes(path)]


def read_sized_prototypes(path: str | os.PathLike) -> list[tuple[Tensor, Tensor]]:
    """Reads prototypes and how many rows each of them stands for.

    Args:
        path: a ``NAME_cluster.pth``.

    Returns:
        per level the centroids, (K, H_l, W_l) float32, and the sizes of their clusters, (K,) float32; all 1 if the file
        does not say.

    Raises:
        UserError: as :func:`read_prototypes`.
    """
    maps, meta = _read(path, "memory file", dims=(3,))
    counts = [len(value) for value in maps]
    if len(set(counts)) != 1:
        raise UserError(f"memory file {path} has levels of different K, {counts}; cluster again")
    sizes = meta.get("cluster_sizes") or [[1] * count for count in counts]
    try:
        weights = [torch.tensor(size, dtype=torch.float32) for size in sizes]
    except (TypeError, ValueError, RuntimeError):
        weights = []
    if [tuple(weight.shape) for weight in weights] != [(count,) for count in counts]:
        raise UserError(f"memory file {path} is damaged: meta.cluster_sizes is {shortened(sizes)}; cluster again")
    return list(zip(maps, weights, strict=True))


def _read(
    path: str | os.PathLike, what: str, dims: tuple[int, ...], share: tuple[int, int] = (0, 1)
) -> tuple[list[Tensor], dict[str, Any]]:
    with torch.serialization.safe_globals(_NUMPY_PARTS):
        content = load_torch(path, what, mmap=4 in dims)
    keys = list(content) if isinstance(content, dict) else []
    names = [f"feats{level}" for level in range(1, 1 + sum(str(key).startswith("feats") for key in keys))]
    if not names or not set(names) <= set(keys):
        held = f"the keys {sorted(map(str, keys))}" if keys else f"a {type(content).__name__}"
        raise UserError(f"{what} {path} holds {held}, expected feats1, feats2, feats3")
    maps = [_as_maps(content[name], f"{name} of {what} {path}", dims, share) for name in names]
    meta = content.get("meta") or {}
    if not isinstance(meta, dict):
        raise UserError(f"{what} {path} is damaged: its 'meta' is a {type(meta).__name__}, expected a dictionary")
    return maps, meta


def _as_maps(value: Any, what: str, dims: tuple[int, ...], share: tuple[int, int]) -> Tensor:
    if isinstance(value, list | tuple) and value and all(isinstance(item, Tensor | np.ndarray) for item in value):
        shapes = {tuple(item.shape) for item in value}
        if len(shapes) > 1:
            raise UserError(f"{what} is a list of maps of different shapes, {shortened(sorted(shapes))}; extract again")
        value = torch.stack([torch.as_tensor(item) for item in value])
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    dense = isinstance(value, Tensor) and value.layout == torch.strided
    if not dense or not value.is_floating_point() or value.ndim not in dims or not value.numel():
        found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        axes = "(rows, height, width)" if dims == (3,) else "(rows, height, width) or (images, channels, height, width)"
        raise UserError(f"{what} is {found}, expected non-empty floating-point maps {axes}")
    value = value.flatten(0, -3)
    value = value[len(value) * share[0] // share[1] : len(value) * (share[0] + 1) // share[1]]
    # In blocks, as masks of the whole file would take memory that the file itself does not.
    if not all(torch.isfinite(rows).all() for rows in value.split(ROWS_AT_ONCE)):
        raise UserError(f"{what} holds values that are not finite; extract again with a sound checkpoint")
    return value.detach().float()
