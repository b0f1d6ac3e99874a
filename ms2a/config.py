"""Reads a configuration: file, environment, command line, references, in this order."""

import copy
import os
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mmcv import Config
from mmcv.utils import import_modules_from_strings
from mmdet.utils import compat_cfg

from ms2a.artefacts import check_files_apart, memory_file, memory_names
from ms2a.config_effect import NONE, effect, is_settled, misspelt, places_of
from ms2a.config_references import fill_references, literal
from ms2a.config_schema import check_settings
from ms2a.defaults import DETECTORS
from ms2a.errors import UserError, as_options, warn

# The recipes: in an installed package inside it, in the source tree beside it.
_INSTALLED = Path(__file__).parent / "configs"
CONFIGS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[1] / "configs"
DATA_ROOT_VARIABLE = "MS2A_DATA_ROOT"
REQUIRED_KEYS = ("model", "data")
# Options that stand for several variables → the first of these.
STANDS_FOR = {"image_size": "img_scale", "detector": "deepen_factor"}
# Variables of the recipes: sizes of images, and numbers with the smallest that each may be.
SIZES = ("img_scale", "memory_img_scale")
SMALLEST = dict(batch_size=1, test_batch_size=1, workers_per_gpu=0, max_epochs=0, num_last_epochs=0, num_prototypes=1)
SMALLEST |= dict(max_per_img=1, bit_depth=8)


def load_config(
    path: str | os.PathLike,
    cfg_options: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Config:
    """Reads a config file and settles everything that can change it: :func:`open_config`, then :func:`settle`."""
    return settle(open_config(path, cfg_options, variables))


def open_config(
    path: str | os.PathLike,
    cfg_options: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """Reads a config file, environment and options; a caller may still change the config until it is settled.

    ``data_roots`` names the folder of every data set. The variable ``MS2A_DATA_ROOT`` replaces the leading ``data/`` of
    all of them, ``MS2A_DATA_ROOT_<NAME>`` the folder of one; ``cfg_options`` come after that. ``image_size`` stands for
    all the options that :func:`size_options` gives, ``detector`` for those of :func:`detector_options`.

    Args:
        path: the config file (.py, .json or .yaml).
        cfg_options: dotted keys and their values, as ``--cfg-options`` gives them.
        variables: top-level keys that replace the file's own whole, before anything else; None takes one away.
        settings: as ``cfg_options``, before those, but none is refused that would change nothing.

    Raises:
        UserError: the file is missing, truncated or invalid; an option doesn't fit, is misspelt or changes nothing.
    """
    cfg = _read(path)
    for key, value in (variables or {}).items():
        if value is None:
            cfg.pop(key, None)
        else:
            cfg[key] = value
    _apply_environment(cfg)
    _check_effect(cfg, cfg_options or (), path)
    options = dict(settings or {}) | dict(cfg_options or {})
    detector = options.pop("detector", cfg.pop("detector", None))
    if detector is not None:
        if "deepen_factor" not in cfg:
            raise UserError(
                f"config {path} has no deepen_factor for detector={detector!r} to set; change its models, or use the "
                "recipe that it was made of"
            )
        options = detector_options(detector, f"of config {path}") | options
    image_size = options.pop("image_size", cfg.pop("image_size", None))
    if image_size is not None:
        if "img_scale" not in cfg:
            raise UserError(
                f"config {path} has no img_scale for image_size={image_size!r} to set; change its pipelines"
            )
        options = size_options(image_size, f"of config {path}") | options
    if options:
        try:
            cfg.merge_from_dict(copy.deepcopy(dict(options)))  # mmcv takes _delete_ out of what it is given
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(f"`cfg_options` do not fit config {path}: {_one_line(error)}") from error
    return cfg


def settle(cfg: Config) -> Config:
    """Names the memory files and fills in references like ``"${data_roots.cityscapes}"``, wherever they stand.

    Args:
        cfg: from :func:`open_config`; not to be used any more.

    Raises:
        UserError: a size or a number in one of the recipes' variables can't be one, a reference names no key, or the
            config doesn't have mmdet's form.
    """
    path = cfg.filename
    _check_variables(cfg, path)
    _name_memory_files(cfg)
    cfg = _with_file_name(Config(fill_references(cfg._cfg_dict, path)), path)
    check_settings(cfg._cfg_dict, path)
    try:
        return compat_cfg(cfg)
    except (AssertionError, AttributeError) as error:
        raise UserError(f"config {path} is not valid: {_one_line(error)}") from error


def _name_memory_files(cfg: Config) -> None:
    """Memory files that the config does not name itself are those that Stage I writes to ``memory_dir``."""
    if "memory_dir" not in cfg:
        return
    if isinstance(cfg.get("memory_files"), Mapping):
        domains = [cfg[key] for key in ("source_domain", "target_domain") if key in cfg]
        check_files_apart(domains)
        names = [name for domain in domains for name in memory_names(domain, cfg.get("prototype", "map"))]
        cfg.memory_files = {name: memory_file("${memory_dir}", name) for name in names} | cfg.memory_files
    for prototype in ("style", "colour"):  # which augmentation reads, from one file
        if f"{prototype}_domain" in cfg and cfg.get(f"{prototype}_file") is None:
            (name,) = memory_names(f"${{{prototype}_domain}}", prototype)
            cfg[f"{prototype}_file"] = memory_file("${memory_dir}", name)


def size_options(image_size: Any, where: str) -> dict[str, Any]:
    """The config options that follow from the size of what the network sees, in training, testing and Stage I.

    Args:
        image_size: height and width in pixels, multiples of 32 from 64 on.
        where: what it belongs to, for the error.

    Raises:
        UserError: it is no such pair.
    """
    height, width = _check_size("image_size", image_size, where, smallest=64)
    return {
        "img_scale": (height, width),
        "random_size_range": (max(2, round(0.75 * height / 32)), round(1.25 * height / 32)),
        "mosaic_border": (-height // 2, -width // 2),
        "memory_img_scale": (height, width),
        "memory_sizes_hw": [(height // stride, width // stride) for stride in (8, 16, 32)],
    }


def detector_options(detector: Any, where: str) -> dict[str, Any]:
    """The config options that make a detector of a size: those of ``configs/_base_/models/size_<detector>.py``.

    Args:
        detector: one of :data:`ms2a.defaults.DETECTORS`.
        where: what it belongs to, for the error.

    Raises:
        UserError: there is no such size.
    """
    if detector not in DETECTORS:
        raise UserError(f"'detector' {where} is {detector!r}, expected one of {', '.join(DETECTORS)}")
    return Config.fromfile(str(CONFIGS / "_base_" / "models" / f"size_{detector}.py"))._cfg_dict.to_dict()


def _check_size(name: str, value: Any, where: str, smallest: int = 32) -> tuple[int, int]:
    valid = isinstance(value, (list, tuple)) and len(value) == 2
    if not valid or not all(isinstance(side, int) and side >= smallest and side % 32 == 0 for side in value):
        raise UserError(
            f"{name!r} {where} is {value!r}, expected height and width, multiples of 32, {smallest} or more"
        )
    return tuple(value)


def _check_variables(cfg: Config, path: str | os.PathLike) -> None:
    """Checks what the recipes state in variables, before it is all over the config; sizes become tuples."""
    where = f"of config {path}"
    for name in SIZES:
        if cfg.get(name) is not None:
            cfg[name] = _check_size(name, cfg[name], where)
    for name, smallest in SMALLEST.items():
        value = cfg.get(name)
        if value is not None and (not isinstance(value, int) or value < smallest):
            raise UserError(f"{name!r} {where} is {value!r}, expected a whole number, {smallest} or more")


def _check_effect(cfg: Config, cfg_options: Iterable[str], path: str | os.PathLike) -> None:
    """An option may add a part, as in mmcv; one that is misspelt, or that nobody reads, is a mistake.

    A variable of a recipe that this one does not read is told: options may be for several recipes.

    Raises:
        UserError: an option is a mistake.
    """
    for option in cfg_options:
        key = option.split(".")[0]
        if STANDS_FOR.get(option, option) not in cfg and option in STANDS_FOR:
            continue  # which open_config tells
        if meant := misspelt(option, cfg._cfg_dict):
            raise UserError(f"`cfg_options={option}`: config {path} has no such part; did you mean {meant!r}?")
        if option_effect(option, cfg) == NONE:
            places = places_of(key, cfg._cfg_dict)[:2]
            instead = f"; set {' or '.join(places)} instead" if places else ""
            message = f"`cfg_options={option}`: nothing in config {path} reads {key!r}{instead}"
            if key not in cfg or is_settled(cfg._cfg_dict):
                raise UserError(message)
            warn(as_options(message))


def option_effect(option: str, cfg: Config) -> int:
    """:func:`ms2a.config_effect.effect` of a config option; one that stands for several does what their first does.

    Args:
        option: its dotted key.
        cfg: from :func:`open_config`.
    """
    return effect(STANDS_FOR.get(option, option), cfg._cfg_dict)


def _read(path: str | os.PathLike) -> Config:
    if not Path(path).expanduser().is_file():
        raise UserError(f"config {path} does not exist; check the path")
    import_module("ms2a.plugin")  # by its name: it stands above this module, and what configs name is registered there
    search_path = list(sys.path)
    try:
        # As Config.fromfile does, but without a file name, for which the plug-in would fill in references right away.
        content, text = Config._file2dict(str(path))
        import_modules_from_strings(**(content.get("custom_imports") or dict(imports=None)))
        # Classes that a config imports are no part of it; functions and modules mmcv itself leaves out.
        content = {key: value for key, value in content.items() if not isinstance(value, type)}
        cfg = _with_file_name(Config(content, cfg_text=text), path)
    except UserError:
        raise
    # A config is code that a user writes: whatever it raises is a mistake in that file or in one of its bases.
    except Exception as error:
        _clean_up_after_mmcv(error, search_path)
        raise UserError(f"config {path} cannot be read: {type(error).__name__}: {_one_line(error)}") from None
    missing = [key for key in REQUIRED_KEYS if key not in cfg]
    if missing:
        raise UserError(
            f"config {path} has no {' and no '.join(missing)}; is it truncated, or a base of other configs?"
        )
    return cfg


def _with_file_name(cfg: Config, path: str | os.PathLike | None) -> Config:
    """The config; given to ``Config``, the name would let the plug-in fill in references, in settled texts as well."""
    object.__setattr__(cfg, "_filename", None if path is None else str(path))
    return cfg


def _clean_up_after_mmcv(error: Exception, search_path: list[str]) -> None:
    """A config that raises leaves mmcv's folder on the search path, and a temporary file that complains when freed."""
    sys.path[:] = search_path
    report = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        traceback.clear_frames(error.__traceback__)
    finally:
        sys.unraisablehook = report


def _apply_environment(cfg: Config) -> None:
    roots = cfg.get("data_roots")
    roots = roots if isinstance(roots, Mapping) else {}  # another is told when the config is settled
    common = os.environ.get(DATA_ROOT_VARIABLE)
    for name, root in roots.items():
        own = os.environ.get(f"{DATA_ROOT_VARIABLE}_{re.sub(r'[^A-Z0-9]', '_', name.upper())}")
        if own:
            roots[name] = literal(own)
        elif common and Path(root).parts[:1] == ("data",):
            roots[name] = str(Path(literal(common), *Path(root).parts[1:]))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
