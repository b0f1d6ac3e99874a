"""A user's own data, described by one short YAML file.

.. code-block:: yaml

    name: my_factory
    classes: [part]
    image_size: [320, 320]        # height and width the network sees, multiples of 32
    source:                       # where labels are plentiful
      domain: line_a
      train: {annotations: a/train.json, images: a/images}
      val: {annotations: a/val.json, images: a/images}       # optional
    target:                       # the new place
      domain: line_b
      train: {annotations: b/annotated.json, images: b/images}
      num_annotated: 10           # optional: draw that many images of train
      unlabelled: b/unlabelled    # a folder of images
      test: {annotations: b/test.json, images: b/images}
    epochs: {base: 24, source_training: 8, target_training: 10}   # optional

``annotations`` is a COCO json, or a folder of Pascal VOC xml files. Paths are relative to the task file.
"""

from collections.abc import Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

import yaml

from ms2a.artefacts import provenance, read_json, write_json
from ms2a.config import size_options
from ms2a.datasets.annotations import mend_annotations, order_categories, read_coco
from ms2a.datasets.fewshot import nested_splits
from ms2a.datasets.image_folder import find_images
from ms2a.datasets.voc import voc_to_coco
from ms2a.errors import UserError
from ms2a.memory import MemoryBank
from ms2a.pipeline.stages import BASE, SOURCE_TRAINING, TARGET_TRAINING, Adaptation, load_adaptation

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "configs" / "yolox" / "yolox_fs_n_custom_pretrain_mom_ft.py"

# What each mapping of the task file holds: required keys, optional keys.
TASK_KEYS = ({"name", "classes", "source", "target"}, {"image_size", "epochs"})
SOURCE_KEYS = ({"domain", "train"}, {"val"})
TARGET_KEYS = ({"domain", "train", "unlabelled", "test"}, {"num_annotated"})
SET_KEYS = ({"annotations", "images"}, set())
EPOCH_KEYS = (set(), {BASE, SOURCE_TRAINING, TARGET_TRAINING})


def load_task(
    path: str | Path,
    work_dir: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Adaptation:
    """Reads a task file and prepares its annotations in ``work_dir/annotations``.

    Args:
        path: the task file.
        work_dir: where results go; default ``work_dirs/<name>``.
        seed: of the draw of annotated images, training, sampling and clustering.
        device: see :class:`~ms2a.pipeline.stages.Adaptation`.
        cfg_options: further config options for all stages.

    Raises:
        UserError: the file is missing or not valid, a key is missing or unknown, or the data it names are not right.
    """
    path = Path(path)
    task = _read(path)
    work_dir = work_dir or Path("work_dirs") / str(task["name"])
    options = _data_options(task, path.parent, work_dir / "annotations", seed)
    options["image_size"] = task.get("image_size", [320, 320])
    adaptation = load_adaptation(TEMPLATE, work_dir, seed, device, options | dict(cfg_options or {}))
    for stage, epochs in task.get("epochs", {}).items():
        _set_epochs(adaptation, stage, epochs, path)
    return adaptation


def _read(path: Path) -> dict:
    try:
        task = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"task file {path} does not exist; check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"task file {path} is not valid YAML: {reason}") from None
    _check_keys(task, TASK_KEYS, f"task file {path}")
    _check_keys(task["source"], SOURCE_KEYS, f"'source' in {path}")
    _check_keys(task["target"], TARGET_KEYS, f"'target' in {path}")
    _check_keys(task.get("epochs", {}), EPOCH_KEYS, f"'epochs' in {path}")
    for side, names in (("source", ("train", "val")), ("target", ("train", "test"))):
        for name in names:
            if name in task[side]:
                _check_keys(task[side][name], SET_KEYS, f"'{side}: {name}' in {path}")
    classes = task["classes"]
    if not isinstance(classes, list) or not classes or len(set(map(str, classes))) < len(classes):
        raise UserError(f"'classes' in {path} is {classes!r}, expected a list of different names, e.g. [part]")
    if "image_size" in task:
        size_options(task["image_size"], f"in {path}")
    _check_names(task, path)
    _check_paths(task, path)
    return task


def _check_names(task: dict, path: Path) -> None:
    """The task's name becomes a folder, those of the domains parts of file names and of checkpoint keys."""
    name, domains = task["name"], [task[side]["domain"] for side in ("source", "target")]
    if not isinstance(name, str | int) or set(str(name)) & set("/\\") or not str(name).strip(". "):
        raise UserError(f"'name' in {path} is {name!r}, expected a name for the folder of the results")
    if not all(isinstance(domain, str | int) for domain in domains):
        raise UserError(f"the domains in {path} are {domains!r}, expected two names")
    if len(set(map(str, domains))) < 2:
        raise UserError(f"source and target in {path} are both called {domains[0]!r}; give each domain its own name")
    if words := [domain for domain in domains if iskeyword(str(domain))]:
        raise UserError(f"domain name {words[0]!r} in {path} is a word of Python, which configs are in; choose another")
    MemoryBank([str(domain) for domain in domains], num_prototypes=1, sizes_hw=[(1, 1)])  # refuses others it can't use


def _check_paths(task: dict, path: Path) -> None:
    """Every path is a text; annotations and images are checked when they are read."""
    named = {"unlabelled of target": task["target"]["unlabelled"]}
    for side in ("source", "target"):
        for name, entry in task[side].items():
            if isinstance(entry, dict):
                named |= {f"{key} of {side} {name}": value for key, value in entry.items()}
    for what, value in named.items():
        if not isinstance(value, str) or not value:
            raise UserError(f"{what} in {path} is {value!r}, expected a path")
    count = task["target"].get("num_annotated", 1)
    if type(count) is not int or count < 1:
        raise UserError(f"'num_annotated' in {path} is {count!r}, expected a whole number, 1 or more")


def _check_keys(value: Any, keys: tuple[set[str], set[str]], what: str) -> None:
    required, optional = keys
    if not isinstance(value, dict):
        raise UserError(f"{what} is {value!r}, expected a mapping with {', '.join(sorted(required | optional))}")
    if missing := required - set(value):
        raise UserError(f"{what} lacks {', '.join(sorted(missing))}")
    if unknown := set(value) - required - optional:
        known = ", ".join(sorted(required | optional))
        raise UserError(f"{what} has unknown {', '.join(sorted(map(str, unknown)))}; known: {known}")


def _data_options(task: dict, root: Path, prepared: Path, seed: int) -> dict[str, Any]:
    """The config options that say where the data lie."""
    source, target, classes = task["source"], task["target"], [str(name) for name in task["classes"]]

    def options(key: str, entry: dict, num_annotated: int | None = None) -> dict[str, str]:
        images = (root / entry["images"]).resolve()
        annotations = _coco_file(root / entry["annotations"], images, classes, prepared / f"{key}.json")
        found = find_images(annotations, images)  # all that can be wrong is said now, not after hours of training
        if key in ("target_test", "source_val"):
            _check_all_there(found, annotations)
        coco = read_coco(annotations)
        order_categories(coco, classes, annotations)
        mended = mend_annotations(coco)
        ids = {category["id"] for category in coco["categories"][: len(classes)]}
        if not any(annotation["category_id"] in ids for annotation in coco["annotations"]):
            raise UserError(f"annotation file {annotations} has no box of {classes} {mended.warning()}".rstrip())
        if num_annotated:
            split = nested_splits(coco, [num_annotated], seed, classes)[num_annotated]
            annotations = prepared / f"{key}_seed{seed}_{num_annotated}.json"
            _write(split, provenance(config=f"{num_annotated} of {key}", seed=seed), annotations)
        return {f"{key}.ann_file": str(annotations.resolve()), f"{key}.img_prefix": str(images)}

    settings = {
        "source_domain": str(source["domain"]),
        "target_domain": str(target["domain"]),
        "classes": classes,
        "num_classes": len(classes),
        "test_sets": ["${target_test}"] + (["${source_val}"] if "val" in source else []),
    }
    settings |= options("source_train", source["train"])
    settings |= options("target_train", target["train"], target.get("num_annotated"))
    settings |= options("target_test", target["test"])
    if "val" in source:
        settings |= options("source_val", source["val"])
    source_images = {"img": settings["source_train.ann_file"], "img_root": settings["source_train.img_prefix"]}
    unlabelled = (root / target["unlabelled"]).resolve()
    find_images(unlabelled)
    settings["unlabelled_images.img"] = str(unlabelled)
    settings["memory_images"] = {  # whole: the template's domains may have the same names
        "_delete_": True,
        str(source["domain"]): source_images,
        str(target["domain"]): {"img": str(unlabelled)},
    }
    return settings


def _check_all_there(images: Sequence[tuple[str, str]], annotations: Path) -> None:
    """A test stops at an image that is not there; in training it is skipped."""
    missing = [name for root, name in images if not Path(root, name).exists()]
    if missing:
        more = f", nor do {len(missing) - 1} others" if len(missing) > 1 else ""
        raise UserError(f"image {missing[0]} of {annotations} does not exist{more}; a test needs all of its images")


def _coco_file(annotations: Path, images: Path, classes: list[str], prepared: Path) -> Path:
    """The COCO json itself, or one made of a folder of VOC files."""
    if not annotations.is_dir():
        return annotations
    _write(voc_to_coco(annotations, classes, images), provenance(config=f"voc_to_coco of {annotations.name}"), prepared)
    return prepared


def _write(coco: dict[str, Any], made_by: dict[str, Any], path: Path) -> None:
    """Leaves a file of the same content alone, whichever version made it: a changed one would redo the training."""
    if not path.exists() or {**coco, "provenance": None} != {**read_json(path, "annotation file"), "provenance": None}:
        write_json({**coco, "provenance": made_by}, path)


def _set_epochs(adaptation: Adaptation, stage: str, epochs: Any, path: Path) -> None:
    config = adaptation.configs[stage]
    shortest = config.lr_config.warmup_iters + config.lr_config.num_last_epochs + 1
    if not isinstance(epochs, int) or epochs < shortest:
        raise UserError(
            f"'epochs: {stage}' in {path} is {epochs!r}, expected a whole number of at least {shortest} "
            f"({config.lr_config.warmup_iters} to warm up, {config.lr_config.num_last_epochs} last ones without mixing)"
        )
    config.runner.max_epochs = epochs
