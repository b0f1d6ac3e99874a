"""Checkpoints: read without running code, checked against the detector before they are loaded."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmcv.runner import get_dist_info
from torch import Tensor, nn

from ms2a.artefacts import load_torch
from ms2a.engine.downloads import fetched
from ms2a.engine.sizes import size_of_weights
from ms2a.engine.sound_weights import check_classes, check_finite, check_kinds, is_weight
from ms2a.errors import UserError

logger = logging.getLogger("mmdet")

CLASS_PREDICTORS = "multi_level_conv_cls"
# Parts that every stage shares: they must be there whole.
SHARED_PARTS = ("backbone", "neck")
# Names of a moving average's shadow weights start so.
SHADOW = "ema_"


def read_checkpoint(path: str | os.PathLike, what: str = "checkpoint") -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Args:
        path: a file, or an http(s) address, see :func:`ms2a.engine.downloads.fetched`.
        what: how to call it in an error, e.g. ``"load_from"``.

    Returns:
        ``state_dict`` without the shadow weights of a moving average, which are ``shadows``; ``meta`` (perhaps empty);
        and what else it holds.

    Raises:
        UserError: missing, truncated, refused, without weights, or with weights that are NaN or infinite.
    """
    checkpoint = load_torch(fetched(str(path), what) if "://" in str(path) else path, what)
    if not isinstance(checkpoint, Mapping):
        raise UserError(f"{what} {path} holds {type(checkpoint).__name__}, expected a dictionary with 'state_dict'")
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, Mapping) or not weights or not all(map(is_weight, weights.items())):
        hint = f"; one of the YOLOX project: ms2a convert yolox {path} OUT.pth" if "model" in checkpoint else ""
        raise UserError(f"{what} {path} holds no weights: expected a dictionary with 'state_dict'{hint}")
    shadows = {name: value for name, value in weights.items() if name.startswith(SHADOW)}
    weights = {name: value for name, value in weights.items() if name not in shadows}
    check_finite(weights, f"{what} {path}")
    rest = checkpoint if "state_dict" in checkpoint else {}
    meta = rest.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise UserError(f"{what} {path} is damaged: its 'meta' is a {type(meta).__name__}, expected a dictionary")
    check_classes(meta.get("CLASSES"), f"{what} {path}")
    return {**rest, "state_dict": weights, "meta": dict(meta), "shadows": shadows}


def load_weights(model: nn.Module, path: str | os.PathLike, classes: Sequence[str]) -> None:
    """Starts ``model`` from the weights of an earlier stage or of another data set.

    A base detector may come from other classes: its classification layers are then taken over for the classes that both
    know by name, and keep their fresh weights for the others. Stage II goes on with the classes of the stage before.

    Args:
        model: the detector with initial weights; its ``from_base``, if it has one, renames those of the file.
        path: see :func:`read_checkpoint`.
        classes: the detector's class names in order.

    Raises:
        UserError: the file is missing, truncated or refused, holds another detector, or, in Stage II, other classes.
    """
    checkpoint = read_checkpoint(path, "load_from")
    weights, theirs = checkpoint["state_dict"], checkpoint["meta"].get("CLASSES")
    check_size(weights, size_of_weights(model.state_dict()), f"load_from {path}")
    if theirs is not None and list(_as_list(theirs)) != list(classes):
        if getattr(model, "adapter", None) is not None:
            raise UserError(class_mismatch(f"load_from {path}", theirs, classes))
        weights = _by_class(model, weights, _as_list(theirs), list(classes), path)
    weights = without_constants(model, weights)
    if hasattr(model, "from_base"):
        weights = model.from_base(weights)
    _check_parts(model, weights, path)
    check_kinds(model, weights, f"load_from {path}")
    try:
        left = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise UserError(f"load_from {path} does not fit the detector: {_first_mismatch(error)}") from None
    logger.info(
        "load_from %s: %d of the detector's %d tensors; left as they were: %s; not used: %s",
        path,
        len(weights) - len(left.unexpected_keys),
        len(model.state_dict()),
        _by_part(left.missing_keys),
        _by_part(left.unexpected_keys),
    )


def check_resumable(model: nn.Module, path: str | os.PathLike, classes: Sequence[str]) -> None:
    """Checks that training can go on from a checkpoint of the same run.

    Raises:
        UserError: the file is missing, truncated or refused, or comes from another detector, other classes or another
            number of processes.
    """
    checkpoint = read_checkpoint(path, "resume_from")
    meta = checkpoint["meta"]
    missing = [f"meta.{key}" for key in ("epoch", "iter") if key not in meta]
    missing += [] if "optimizer" in checkpoint else ["optimizer"]
    if missing:
        raise UserError(f"resume_from {path} has no {', '.join(missing)}: to start from its weights, use load_from")
    theirs = meta.get("CLASSES", classes)
    if list(_as_list(theirs)) != list(classes):
        raise UserError(class_mismatch(f"resume_from {path}", theirs, classes))
    then, now = meta.get("world_size"), get_dist_info()[1]
    if then not in (None, now):
        raise UserError(f"resume_from {path} was trained by {then} processes, this run has {now}; start {then}")
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    weights = without_constants(model, checkpoint["state_dict"])
    others = {name: tuple(value.shape) for name, value in weights.items()}
    differing = sorted(name for name in own.keys() | others.keys() if own.get(name) != others.get(name))
    if differing:
        name = differing[0]
        raise UserError(
            f"resume_from {path} comes from another detector: {len(differing)} tensors differ, the first is {name}, "
            f"{others.get(name, 'absent')} there and {own.get(name, 'absent')} here"
        )
    _check_state(checkpoint, path)


def _check_state(checkpoint: Mapping[str, Any], path: str | os.PathLike) -> None:
    """What a training goes on with besides the weights: counters, and tensors that are finite."""
    meta, optimizer = checkpoint["meta"], checkpoint["optimizer"]
    for key in ("epoch", "iter"):
        if type(meta[key]) is not int or meta[key] < 0:
            raise UserError(f"resume_from {path} is damaged: meta.{key} is {meta[key]!r}, expected a whole number")
    known = isinstance(optimizer, Mapping) and isinstance(optimizer.get("state"), Mapping)
    if (
        not known
        or not isinstance(optimizer.get("param_groups"), list)
        or not isinstance(meta.get("hook_msgs", {}), dict)
    ):
        raise UserError(f"resume_from {path} is damaged: its 'optimizer' is no optimizer's state")
    for number, state in optimizer["state"].items():
        tensors = state if isinstance(state, Mapping) else {}
        check_finite(
            {f"optimizer.state.{number}.{key}": value for key, value in tensors.items()}, f"resume_from {path}"
        )
    check_finite(checkpoint["shadows"], f"resume_from {path}")


def without_constants(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leaves out the buffers that the detector computes itself: mmcv saves those too that torch wouldn't.

    Args:
        model: the detector.
        weights: a checkpoint's ``state_dict``.
    """
    constants = {name for name, _ in model.named_buffers()} - set(model.state_dict())
    return {name: value for name, value in weights.items() if name not in constants}


def class_mismatch(where: str, theirs: Sequence[str] | str, classes: Sequence[str]) -> str:
    """One line for class lists that differ: a label would change its meaning."""
    return (
        f"class lists differ: {where} has {_as_list(theirs)}, the config {list(classes)}; "
        "give all stages one list in one order"
    )


def find_latest(work_dir: str | os.PathLike) -> Path | None:
    """The newest checkpoint of a run, or None before its first."""
    folder = Path(work_dir)
    if (folder / "latest.pth").is_file():
        return folder / "latest.pth"
    epochs = {int(path.stem[6:]): path for path in folder.glob("epoch_*.pth") if path.stem[6:].isdigit()}
    return epochs[max(epochs)] if epochs else None


def check_size(weights: Mapping[str, Tensor], size: str | None, where: str) -> None:
    """Checks that weights are of a detector's size, as far as both are known sizes.

    Args:
        weights: a ``state_dict`` in mmdet's layout.
        size: the detector's.
        where: what the weights are, for the error.

    Raises:
        UserError: they are of another size.
    """
    theirs = size_of_weights(weights)
    if theirs and size and theirs != size:
        raise UserError(
            f"{where} is of size {theirs}, the detector of size {size}; give detector={theirs} or other weights"
        )


def _by_class(
    model: nn.Module, weights: Mapping[str, Tensor], theirs: list[str], classes: list[str], path: str | os.PathLike
) -> dict[str, Tensor]:
    """The weights with classification layers for other classes: rows of classes of the same name, else fresh ones."""
    numbers = {_plain(name): number for number, name in enumerate(theirs)}
    rows = {own: numbers[_plain(name)] for own, name in enumerate(classes) if _plain(name) in numbers}
    taken = [classes[own] for own in rows]
    anew = [name for name in classes if name not in taken]
    logger.warning(
        "load_from %s was trained on %d classes; the class layers of %s are taken over, those of %s start anew",
        path,
        len(theirs),
        ", ".join(taken) or "none",
        ", ".join(anew) or "none",
    )
    changed = dict(weights)
    for name, fresh in model.state_dict().items():
        fits = CLASS_PREDICTORS in name and name in weights and len(weights[name]) == len(theirs)
        if fits and weights[name].shape[1:] == fresh.shape[1:]:  # else loading tells what does not fit
            changed[name] = fresh.clone()
            for own, their in rows.items():
                changed[name][own] = weights[name][their]
    return changed


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()


def _check_parts(model: nn.Module, weights: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    own = set(model.state_dict())
    if not own & set(weights):
        raise UserError(f"load_from {path} has no tensor of the detector; it begins with {next(iter(weights), None)!r}")
    for part in SHARED_PARTS:
        ours = {name for name in own if name.startswith(f"{part}.") and not name.endswith("num_batches_tracked")}
        theirs = {name for name in weights if name.startswith(f"{part}.") and not name.endswith("num_batches_tracked")}
        if ours != theirs:
            raise UserError(
                f"load_from {path} has another {part}: {len(ours - theirs)} tensors are missing in it and "
                f"{len(theirs - ours)} are unknown here, e.g. {min(ours ^ theirs)}; is it of another model size?"
            )


def _first_mismatch(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line.startswith("size mismatch")), lines[-1])


def _by_part(names: Iterable[str]) -> str:
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} ({count})" for part, count in sorted(counts.items())) or "none"


def _as_list(classes: Sequence[str] | str) -> list[str]:
    return [classes] if isinstance(classes, str) else list(classes)
