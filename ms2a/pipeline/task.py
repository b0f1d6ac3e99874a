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
    detector: nano                # optional, see ms2a.pipeline.start: nano, small, tiny, s, m, l or x
    weights: coco                 # optional: coco, none, a file or an address
    recipe: best                  # optional, see ms2a.pipeline.recipe: released or best
    epochs: {base: 24, source_training: 8, target_training: 10}   # optional

``annotations`` is a file or a folder of any format of :mod:`ms2a.datasets.formats`, found by its content. Paths are
relative to the task file. ``bit_depth: 12`` beside ``image_size`` says how many of the 16 bits of pictures are used.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, model_validator

from ms2a.apis.pretrained import COCO, NONE
from ms2a.artefacts import check_files_apart, read_yaml
from ms2a.config import size_options
from ms2a.config_references import literal
from ms2a.datasets.check.report import DataReport
from ms2a.datasets.formats import FORMATS
from ms2a.defaults import DETECTORS
from ms2a.errors import UserError, shortened
from ms2a.memory import MemoryBank
from ms2a.pipeline.config_data import check_memory
from ms2a.pipeline.data import TARGET_POOL, check_task, entries_of, options_of, prepare_files, show
from ms2a.pipeline.recipe import RECIPES, recipe_settings
from ms2a.pipeline.stages import SOURCE_TRAINING, TARGET_TRAINING, Adaptation, load_adaptation, refuse_options
from ms2a.pipeline.start import FROM_RANDOM, PRETRAINED, options_of_start
from ms2a.validation import Section, Whole, validated

LONGEST_NAME = 200  # bytes, of a folder
TASK_SUFFIXES = (".yaml", ".yml")


def _from_task_file(path: str, info: ValidationInfo) -> Path:
    try:
        return (info.context.parent / path).resolve()
    except (ValueError, OSError):  # a name that no disk takes
        raise ValueError(f"is {shortened(path)}, expected the path of a file or folder") from None


def _weights(text: str, info: ValidationInfo) -> str:
    return text if text in (COCO, NONE) or "://" in text else str(_from_task_file(text, info))


def _folder_name(name: str) -> str:
    if set(name) & set("/\\\0") or not name.strip(". ") or len(os.fsencode(name)) > LONGEST_NAME:
        raise ValueError(f"is {shortened(name)}, expected a name for the folder of the results")
    return name


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError(f"is {names!r}, expected a list of different names, e.g. [part]")
    return names


Name = Annotated[str, Field(coerce_numbers_to_str=True)]
DataPath = Annotated[str, Field(min_length=1), AfterValidator(_from_task_file)]
Count = Annotated[int, Field(strict=True, ge=1)]


class ImageSet(Section):
    """Annotated images: a file or folder of any format that is known, and the folder that the images' names start from.

    What the other keys mean: :func:`ms2a.datasets.formats.read_annotations` and
    :class:`ms2a.datasets.check.sets.Options`.
    """

    annotations: DataPath
    images: DataPath
    format: Literal[FORMATS] | None = None
    first_pixel: Literal[0, 1] | None = None
    class_map: dict[Name, Name] | None = None
    list: DataPath | None = None
    boxes_of: Literal["stored", "upright"] | None = None
    box_form: Literal["corners", "sizes"] | None = None


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
    image_size: list[Whole] = [320, 320]
    bit_depth: Annotated[int, Field(strict=True, ge=8, le=16)] | None = None
    source: Source
    target: Target
    detector: Literal[DETECTORS] | None = None
    weights: Annotated[str, Field(min_length=1), AfterValidator(_weights)] | None = None
    recipe: Literal[RECIPES] | None = None
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
        """Domains become parts of file names and of checkpoint keys."""
        domains = [self.source.domain, self.target.domain]
        if domains[0] == domains[1]:
            raise ValueError(f"source and target are both called {domains[0]!r}; give each domain its own name")
        check_files_apart(domains)
        MemoryBank(domains, num_prototypes=1, sizes_hw=[(1, 1)])  # refuses others that it cannot use
        return self


def read_task(path: str | Path) -> Task:
    """Reads a task file. The data that the task names are not looked at yet.

    Raises:
        UserError: the file is missing or is no YAML, a key is missing or unknown, or a value is not usable.
    """
    path = Path(path)
    content = read_yaml(path, "task file")
    task = validated(Task, content, f"task file {path}", context=path)
    size_options(task.image_size, f"of task file {path}")
    return task


def adaptation_of(
    task: Task,
    work_dir: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    say: Callable[..., None] = print,
    detector: str | None = None,
    weights: str | None = None,
) -> Adaptation:
    """The configs of a task's stages; its data are checked, its annotations prepared in ``work_dir/annotations``.

    Args:
        task: from :func:`read_task`.
        work_dir: where results go; default ``work_dirs/<name>``.
        seed: of the draw of annotated images, training, sampling and clustering.
        device: see :class:`~ms2a.pipeline.stages.Adaptation`.
        cfg_options: further config options for all stages; they come after what the task file says.
        say: where it is told what the check found, and where the base detector starts.
        detector: in the place of the task file's, see :func:`ms2a.pipeline.start.choose_start`.
        weights: in the place of the task file's.

    Raises:
        UserError: the data are not right, a stage is too short, or an option would have no effect.
    """
    cfg_options = dict(cfg_options or {})
    refuse_options(cfg_options, ["num_annotated"], f"task file {task.file} says that under 'target'; change it there")
    work_dir = work_dir or Path("work_dirs") / task.name
    report = check_task(task, cfg_options)
    bit_depth = cfg_options.get("bit_depth", task.bit_depth)
    if report.told("error"):
        show(report, work_dir, bit_depth, say)
        report.refuse()
    files = prepare_files(task, report, work_dir / "annotations", seed)
    detector = detector or cfg_options.pop("detector", None) or task.detector
    told: list[str] = []  # behind what is said of the data
    start, options = options_of_start(detector, weights or task.weights, cfg_options, work_dir, told.append)
    settings = {key: value for key, value in options.items() if key not in cfg_options}
    settings |= _data_options(task, files) | options_of(report)
    settings |= {"image_size": task.image_size, "bit_depth": task.bit_depth}
    epochs = task.epochs.model_dump(exclude_none=True)
    unlabelled = report.sets[-1]
    pretrained = bool(start.weights and start.detector)
    of_recipe = recipe_settings(task.recipe, unlabelled.num_different, pretrained, told.append)
    stages: dict[str, dict[str, Any]] = {stage: dict(of_recipe) for stage in (SOURCE_TRAINING, TARGET_TRAINING)}
    for stage, count in epochs.items():
        stages.setdefault(stage, {})["max_epochs"] = count
    template = PRETRAINED if pretrained else FROM_RANDOM
    adaptation = load_adaptation(template, work_dir, seed, device, cfg_options, settings, stages)
    _check_epochs(adaptation, epochs, task)
    report = check_memory(adaptation, report)
    show(report, work_dir, bit_depth, say)
    report.refuse()
    for line in told:
        say(line)
    return adaptation


def report_of(task: Task, cfg_options: Mapping[str, Any] | None = None) -> DataReport:
    """What the check says of a task's data, and of the memory that is to be made of them. Nothing is written."""
    adaptation = load_adaptation(FROM_RANDOM, Path(task.name), cfg_options=cfg_options)
    return check_memory(adaptation, check_task(task, cfg_options))


def _data_options(task: Task, files: Mapping[str, Path]) -> dict[str, Any]:
    """The config options that say where the data lie."""
    source, target = task.source.domain, task.target.domain
    settings = {
        "source_domain": source,
        "target_domain": target,
        "classes": literal(task.classes),
        "num_classes": len(task.classes),
        "test_sets": ["${target_test}"] + (["${source_val}"] if "source_val" in files else []),
    }
    for name, entry in entries_of(task).items():
        settings |= {
            f"{name}.ann_file": literal(str(files[name])),
            f"{name}.img_prefix": literal(str(entry.images)),
        }
    if TARGET_POOL in files:
        settings[TARGET_POOL] = literal(str(files[TARGET_POOL]))
    source_images = {"img": settings["source_train.ann_file"], "img_root": settings["source_train.img_prefix"]}
    settings["unlabelled_images.img"] = literal(str(task.target.unlabelled))
    settings["memory_images"] = {  # whole: the template's domains may have the same names
        "_delete_": True,
        source: source_images,
        target: {"img": settings["unlabelled_images.img"]},
    }
    return settings


def _check_epochs(adaptation: Adaptation, stages: Iterable[str], task: Task) -> None:
    for stage in stages:
        config = adaptation.configs[stage]
        shortest = config.lr_config.warmup_iters + config.lr_config.num_last_epochs + 1
        if config.runner.max_epochs < shortest:
            raise UserError(
                f"'epochs.{stage}' of task file {task.file}, or `cfg_options`, is {config.runner.max_epochs}, expected "
                f"a whole number of at least {shortest} ({config.lr_config.warmup_iters} to warm up, "
                f"{config.lr_config.num_last_epochs} last ones without mixing, 1 between)"
            )
