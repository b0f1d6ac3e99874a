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

from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, model_validator

from ms2a.artefacts import provenance, read_json, write_json
from ms2a.config import CONFIGS, size_options
from ms2a.datasets.annotations import mend_annotations, order_categories, read_coco
from ms2a.datasets.fewshot import nested_splits
from ms2a.datasets.image_folder import find_images
from ms2a.datasets.voc import voc_to_coco
from ms2a.errors import UserError
from ms2a.memory import MemoryBank
from ms2a.pipeline.stages import Adaptation, load_adaptation
from ms2a.validation import Section, validated

TEMPLATE = CONFIGS / "yolox" / "yolox_fs_n_custom_pretrain_mom_ft.py"
TASK_SUFFIXES = (".yaml", ".yml")


def _from_task_file(path: str, info: ValidationInfo) -> Path:
    return (info.context.parent / path).resolve()


def _folder_name(name: str) -> str:
    if set(name) & set("/\\") or not name.strip(". "):
        raise ValueError(f"is {name!r}, expected a name for the folder of the results")
    return name


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError(f"is {names!r}, expected a list of different names, e.g. [part]")
    return names


Name = Annotated[str, Field(coerce_numbers_to_str=True)]
DataPath = Annotated[str, Field(min_length=1), AfterValidator(_from_task_file)]
Count = Annotated[int, Field(strict=True, ge=1)]


class ImageSet(Section):
    """Annotated images: a COCO json or a folder of VOC files, and the folder that the images' names start from."""

    annotations: DataPath
    images: DataPath


class Source(Section):
    """Where labels are plentiful."""

    domain: Name
    train: ImageSet
    val: ImageSet | None = None


class Target(Section):
    """The new place."""

    domain: Name
    train: ImageSet
    unlabelled: DataPath
    test: ImageSet
    num_annotated: Count | None = None


class Epochs(Section):
    """Epochs of each stage; None: what the template says."""

    base: Count | None = None
    source_training: Count | None = None
    target_training: Count | None = None


class Task(Section):
    """A task file; its paths are absolute."""

    name: Annotated[Name, AfterValidator(_folder_name)]
    classes: Annotated[list[Name], Field(min_length=1), AfterValidator(_different)]
    image_size: list[int] = [320, 320]
    source: Source
    target: Target
    epochs: Epochs = Epochs()
    _file: Path = PrivateAttr()

    @property
    def file(self) -> Path:
        """The task file."""
        return self._file

    def model_post_init(self, context: Path) -> None:
        """Remembers the file that the task was read from."""
        self._file = context

    @model_validator(mode="after")
    def _check_domains(self) -> "Task":
        """Domains become parts of file names and of checkpoint keys, and words of a config."""
        domains = [self.source.domain, self.target.domain]
        if domains[0] == domains[1]:
            raise ValueError(f"source and target are both called {domains[0]!r}; give each domain its own name")
        if words := [domain for domain in domains if iskeyword(domain)]:
            raise ValueError(f"domain name {words[0]!r} is a word of Python, which configs are in; choose another")
        MemoryBank(domains, num_prototypes=1, sizes_hw=[(1, 1)])  # refuses others that it cannot use
        return self


def read_task(path: str | Path) -> Task:
    """Reads a task file. The data that the task names are not looked at yet.

    Raises:
        UserError: the file is missing or is no YAML, a key is missing or unknown, or a value is not usable.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"task file {path} does not exist; check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"task file {path} is not valid YAML: {reason}") from None
    task = validated(Task, content, f"task file {path}", context=path)
    size_options(task.image_size, f"of task file {path}")
    return task


def prepare_annotations(task: Task, folder: Path, seed: int = 0) -> dict[str, ImageSet]:
    """Looks at all data of a task, so that mistakes are told now and not after hours of training.

    Args:
        task: whose data.
        folder: where converted and drawn annotations are written; a file of the same content is left alone.
        seed: of the draw of annotated images.

    Returns:
        ``source_train``, ``target_train``, ``target_test`` and, where the task has it, ``source_val``, all as COCO.

    Raises:
        UserError: an annotation file, an image folder or a test image is missing or not usable, or there are fewer
            annotated images than the task wants drawn.
    """
    prepared = {
        "source_train": _prepare("source_train", task.source.train, task, folder)[0],
        "target_train": _prepare("target_train", task.target.train, task, folder, seed)[0],
    }
    tests = {"target_test": task.target.test, "source_val": task.source.val}
    for name, entry in tests.items():
        if entry:
            prepared[name], images = _prepare(name, entry, task, folder)
            _check_all_there(images, prepared[name].annotations)
    find_images(task.target.unlabelled)
    return prepared


def _prepare(
    name: str, entry: ImageSet, task: Task, folder: Path, draw_seed: int | None = None
) -> tuple[ImageSet, list[tuple[str, str]]]:
    """One set as COCO, and its images as (root, name); with a seed the number of images that the task wants drawn."""
    path, classes = entry.annotations, task.classes
    if path.is_dir():
        made_by = provenance(config=f"voc_to_coco of {path.name}")
        path = _write(voc_to_coco(path, classes, entry.images), made_by, folder / f"{name}.json")
    images = find_images(path, entry.images)
    coco = read_coco(path)
    order_categories(coco, classes, path)
    mended = mend_annotations(coco)
    ids = {category["id"] for category in coco["categories"][: len(classes)]}
    if not any(annotation["category_id"] in ids for annotation in coco["annotations"]):
        raise UserError(f"annotation file {path} has no box of {classes} {mended.warning()}".rstrip())
    if draw_seed is not None and (count := task.target.num_annotated):
        split = nested_splits(coco, [count], draw_seed, classes)[count]
        made_by = provenance(config=f"{count} of {name}", seed=draw_seed)
        path = _write(split, made_by, folder / f"{name}_seed{draw_seed}_{count}.json")
    return entry.model_copy(update={"annotations": path.resolve()}), images


def _check_all_there(images: list[tuple[str, str]], annotations: Path) -> None:
    """A test stops at an image that is not there; in training it is skipped."""
    missing = [name for root, name in images if not Path(root, name).exists()]
    if missing:
        more = f", nor do {len(missing) - 1} others" if len(missing) > 1 else ""
        raise UserError(f"image {missing[0]} of {annotations} does not exist{more}; a test needs all of its images")


def _write(coco: dict[str, Any], made_by: dict[str, Any], path: Path) -> Path:
    """Leaves a file of the same content alone, whichever version made it: a changed one would redo the training."""
    if not path.exists() or {**coco, "provenance": None} != {**read_json(path, "annotation file"), "provenance": None}:
        write_json({**coco, "provenance": made_by}, path)
    return path


def adaptation_of(
    task: Task,
    work_dir: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Adaptation:
    """The configs of a task's stages; its annotations are prepared in ``work_dir/annotations``.

    Args:
        task: from :func:`read_task`.
        work_dir: where results go; default ``work_dirs/<name>``.
        seed: of the draw of annotated images, training, sampling and clustering.
        device: see :class:`~ms2a.pipeline.stages.Adaptation`.
        cfg_options: further config options for all stages; they come after what the task file says.

    Raises:
        UserError: the data are not right, see :func:`prepare_annotations`; a stage is too short; or an option would
            have no effect.
    """
    if cfg_options and "num_annotated" in cfg_options:
        raise UserError(f"`cfg_options=num_annotated`: task file {task.file} says that under 'target'; change it there")
    work_dir = work_dir or Path("work_dirs") / task.name
    options = _data_options(task, prepare_annotations(task, work_dir / "annotations", seed))
    options |= {"image_size": task.image_size, **(cfg_options or {})}
    stages = {
        stage: {"max_epochs": epochs, **options} for stage, epochs in task.epochs.model_dump(exclude_none=True).items()
    }
    adaptation = load_adaptation(TEMPLATE, work_dir, seed, device, options, stages)
    for stage in stages:
        _check_epochs(adaptation, stage, task)
    return adaptation


def _data_options(task: Task, prepared: Mapping[str, ImageSet]) -> dict[str, Any]:
    """The config options that say where the data lie."""
    source, target = task.source.domain, task.target.domain
    settings = {
        "source_domain": source,
        "target_domain": target,
        "classes": task.classes,
        "num_classes": len(task.classes),
        "test_sets": ["${target_test}"] + (["${source_val}"] if "source_val" in prepared else []),
    }
    for name, entry in prepared.items():
        settings |= {f"{name}.ann_file": str(entry.annotations), f"{name}.img_prefix": str(entry.images)}
    source_images = {"img": settings["source_train.ann_file"], "img_root": settings["source_train.img_prefix"]}
    settings["unlabelled_images.img"] = str(task.target.unlabelled)
    settings["memory_images"] = {  # whole: the template's domains may have the same names
        "_delete_": True,
        source: source_images,
        target: {"img": str(task.target.unlabelled)},
    }
    return settings


def _check_epochs(adaptation: Adaptation, stage: str, task: Task) -> None:
    config = adaptation.configs[stage]
    shortest = config.lr_config.warmup_iters + config.lr_config.num_last_epochs + 1
    if config.runner.max_epochs < shortest:
        raise UserError(
            f"'epochs.{stage}' of task file {task.file}, or `cfg_options`, is {config.runner.max_epochs}, expected a "
            f"whole number of at least {shortest} ({config.lr_config.warmup_iters} to warm up, "
            f"{config.lr_config.num_last_epochs} last ones without mixing)"
        )
