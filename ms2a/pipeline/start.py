"""Where the base detector of a pipeline starts: what the user says, what an earlier run took, or the default."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmcv import Config

from ms2a.apis.pretrained import COCO, NONE, Start, find_start
from ms2a.config import CONFIGS, load_config
from ms2a.config_references import literal
from ms2a.engine.sizes import size_of_model
from ms2a.errors import UserError
from ms2a.pipeline.stages import BASE

# Of a user's own data, where its COCO weights can be had; else SMALL from random weights.
DEFAULT, SMALL = "nano", "small"
TEMPLATES = CONFIGS / "yolox"
# The last config of the chain that a task fills in: from random and from pretrained weights.
FROM_RANDOM = TEMPLATES / "yolox_fs_n_custom_pretrain_mom_ft.py"
PRETRAINED = TEMPLATES / "yolox_fs_nano_custom_pretrain_mom_ft.py"


def choose_start(detector: str | None, weights: str | None, work_dir: Path, say: Callable[..., None] = print) -> Start:
    """What a base detector starts from, said in a line.

    ``detector`` alone means its COCO weights, or random ones for ``small``; ``weights`` alone the size that they are
    of. With neither, an earlier run in ``work_dir`` is kept to; else it is :data:`DEFAULT` with COCO weights, or, where
    these can't be had, :data:`SMALL` from random weights.

    Args:
        detector: a size, or None.
        weights: see :func:`ms2a.apis.pretrained.find_start`, or None.
        work_dir: where results go.
        say: where it is told.

    Raises:
        UserError: see :func:`ms2a.apis.pretrained.find_start`.
    """
    if detector is None and weights is None:
        if (earlier := _earlier(work_dir)) is not None:
            return earlier
        try:
            start = find_start(DEFAULT, COCO)
        except UserError as error:
            say(f"detector {SMALL}, from random weights; {DEFAULT} from COCO weights would learn more, but: {error}")
            return Start(SMALL, None)
    elif weights is None:
        start = find_start(detector, NONE if detector == SMALL else COCO)
    elif detector is None and weights in (COCO, NONE):
        start = find_start(DEFAULT if weights == COCO else SMALL, weights)
    else:
        start = find_start(detector, weights)
    say(f"detector {start.detector}, from {start.weights or 'random weights'}")
    return start


def options_of_start(
    detector: str | None,
    weights: str | None,
    cfg_options: Mapping[str, Any] | None,
    work_dir: Path,
    say: Callable[..., None] = print,
) -> tuple[Start, dict[str, Any]]:
    """A start and the config options of all stages with it in them; ``load_from`` counts for the base stage alone.

    Args:
        detector: see :func:`choose_start`.
        weights: see :func:`choose_start`.
        cfg_options: the options given besides; ``load_from`` among them takes the place of ``weights``.
        work_dir: see :func:`choose_start`.
        say: see :func:`choose_start`.

    Raises:
        UserError: see :func:`choose_start`; or both ``weights`` and ``load_from`` are given.
    """
    options = dict(cfg_options or {})
    if weights and "load_from" in options:
        raise UserError("`cfg_options=load_from`: `weights` says that; give one of the two")
    start = choose_start(detector, NONE if "load_from" in options else weights, work_dir, say)
    size = {} if start.detector is None else {"detector": start.detector}
    return start, {**size, "load_from": literal(str(start.weights.resolve())) if start.weights else None, **options}


def recipe_options(
    detector: str | None,
    weights: str | None,
    cfg_options: Mapping[str, Any] | None,
    base: Config,
    say: Callable[..., None] = print,
) -> dict[str, Any]:
    """The config options of a recipe whose size or weights the command line changes; a size alone brings COCO weights.

    Args:
        detector: see :func:`choose_start`; None: the recipe's.
        weights: see :func:`choose_start`.
        cfg_options: the options given besides.
        base: the recipe's settled base config.
        say: see :func:`choose_start`.

    Raises:
        UserError: see :func:`options_of_start`.
    """
    _, options = options_of_start(detector or size_of_model(base.model), weights, cfg_options, Path(), say)
    if detector is None:
        options.pop("detector", None)
    return options


def _earlier(work_dir: Path) -> Start | None:
    """The start of an earlier run, whose results a change would do away with."""
    path = work_dir / "configs" / f"{BASE}.py"
    if not path.is_file():
        return None
    config = load_config(path)
    return Start(size_of_model(config.model), Path(config.load_from) if config.get("load_from") else None)
