"""What this product and mmdet's runner read of a settled config, with types; everything else passes.

A value of the wrong kind is told before anything is built, with its place and file; texts and NaN are no numbers.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from ms2a.errors import UserError, shortened
from ms2a.validation import (
    Flag,
    Listed,
    Name,
    Names,
    NonNegative,
    NonNegativeNumber,
    Number,
    Open,
    Pair,
    Positive,
    Seed,
    Share,
    Text,
    Whole,
    names,
    validated,
)

PRIORITIES = ("HIGHEST", "VERY_HIGH", "HIGH", "ABOVE_NORMAL", "NORMAL", "BELOW_NORMAL", "LOW", "VERY_LOW", "LOWEST")


def _priority(value: Any) -> Any:
    if value not in PRIORITIES and (type(value) is not int or not 0 <= value <= 100):
        known = ", ".join(PRIORITIES)
        raise ValueError(f"is {shortened(value)}, expected a whole number from 0 to 100, or one of {known}")
    return value


def _loss_scale(value: Any) -> Any:
    if value != "dynamic" and not isinstance(value, Mapping) and (type(value) not in (int, float) or not value > 0):
        raise ValueError(f"is {shortened(value)}, expected a number above 0, or 'dynamic'")
    return value


def _freeze(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else names(value)


class Registered(Open):
    """What a registry builds: ``type`` names its class."""

    type: Name


class Memory(Open):
    """See :class:`ms2a.memory.MemoryBank`."""

    domains: Listed[Name] = []
    num_prototypes: Positive = 1
    sizes_hw: Listed[Pair] = []
    files: dict[Name, Name | None] | None = None


class Adapter(Registered):
    """See :class:`ms2a.models.MemoryAdapter`."""

    memory: Memory


class Head(Registered):
    """See :class:`ms2a.models.head.MS2AYOLOXHead`."""

    num_classes: Positive = 1


class TestSettings(Open):
    """What is kept of the detections."""

    __test__ = False  # not a test case, whatever its name says to pytest

    score_thr: Share = 0.0
    max_per_img: Whole = -1
    nms: dict | None = None


class Model(Registered):
    """The detector."""

    backbone: Registered = None
    neck: Registered = None
    bbox_head: Head = None
    adapter: Adapter | None = None
    default_domain: Name | None = None
    input_size: Pair = (1, 1)
    random_size_range: Pair = (1, 1)
    random_size_interval: Positive = 1
    test_cfg: TestSettings | None = None
    train_cfg: dict | None = None


class Loader(Open):
    """How images are brought to the detector."""

    samples_per_gpu: Positive = 1
    workers_per_gpu: NonNegative = 0


class DomainPart(Open):
    """A part of :class:`ms2a.datasets.CrossDomainMixDataset`."""

    dataset: "Dataset"
    times: NonNegative = 1
    samples: NonNegative | None = None


class Dataset(Open):
    """A data set, or one around others."""

    type: Name | None = None
    ann_file: Name | None = None
    img_prefix: Text | None = None
    data_root: Text | None = None
    domain: Name | None = None
    classes: Names | None = None
    pipeline: Listed[Registered] | None = None
    dataset: "Dataset | None" = None
    datasets: "Listed[Dataset] | None" = None
    domains: Listed[DomainPart] | None = None
    before_mixing: Listed[Registered] | None = None
    num_images: Positive | None = None

    @model_validator(mode="after")
    def _names_its_files(self) -> "Dataset":
        for key in ("ann_file", "domain") if self.type == "DomainCocoDataset" else ():
            if getattr(self, key) is None:
                raise ValueError(f"is a DomainCocoDataset without {key!r}; add it")
        return self


class Data(Loader):
    """The data sets and their loaders."""

    train: Dataset | None = None
    val: Dataset | None
    test: Dataset | None
    train_dataloader: Loader | None = None
    val_dataloader: Loader | None = None
    test_dataloader: Loader | None = None


class Optimizer(Open):
    """The optimizer."""

    type: Name = "SGD"
    lr: NonNegativeNumber = 0.0
    weight_decay: NonNegativeNumber = 0.0
    momentum: Number = 0.0
    paramwise_cfg: dict | None = None


class OptimizerSettings(Open):
    """How gradients are used."""

    grad_clip: dict | None = None


class Schedule(Open):
    """How the learning rate goes."""

    policy: Name
    warmup: Name | None = None
    warmup_iters: NonNegative = 0
    warmup_ratio: Number = 0.1
    num_last_epochs: NonNegative = 0
    min_lr_ratio: Number | None = None


class Runner(Open):
    """How long training lasts."""

    type: Name = "EpochBasedRunner"
    max_epochs: NonNegative | None = None
    max_iters: NonNegative | None = None


class Checkpoints(Open):
    """When a checkpoint is written."""

    interval: Whole = -1
    max_keep_ckpts: Whole = -1


class Log(Open):
    """What is logged."""

    interval: Positive = 50
    hooks: Listed[Registered] = []


class Evaluation(Open):
    """When training is evaluated."""

    interval: Positive = 1
    start: NonNegative | None = None
    save_best: Name | None = None


class HookSettings(Registered):
    """A hook of training."""

    num_last_epochs: NonNegative = 0
    interval: Whole = 1
    momentum: Number = 0.0
    priority: Annotated[Any, AfterValidator(_priority)] = "NORMAL"


class Scaling(Open):
    """How losses are scaled in float16."""

    loss_scale: Annotated[Any, AfterValidator(_loss_scale)] = "dynamic"


class Settings(Open):
    """A settled config as far as it is read."""

    model: Model
    data: Data
    data_roots: dict[Name, Text] | None = None
    optimizer: Optimizer | None = None
    optimizer_config: OptimizerSettings | None = None
    lr_config: Schedule | None = None
    runner: Runner | None = None
    custom_hooks: Listed[HookSettings] | None = None
    checkpoint_config: Checkpoints | None = None
    log_config: Log | None = None
    log_level: Literal["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET"] = "INFO"
    evaluation: Evaluation | None = None
    workflow: Listed[tuple[Literal["train", "val"], Positive]] | None = None
    fp16: Scaling | None = None
    load_from: Name | None = None
    resume_from: Name | None = None
    auto_resume: Flag | None = None
    work_dir: Name | None = None
    seed: Seed | None = None
    freeze: Annotated[Any, AfterValidator(_freeze)] = False
    verbose: Flag = False
    tensorboard: Flag | None = None
    image_cache_mb: NonNegative | None = None
    find_unused_parameters: Flag = False
    cudnn_benchmark: Flag = False
    opencv_num_threads: NonNegative | None = None
    source_domain: Name | None = None
    target_domain: Name | None = None
    memory_dir: Name | None = None
    memory_files: dict[Name, Name | None] | None = None
    memory_images: dict[Name, dict] | None = None
    prototype: Name | None = None
    previous: Name | None = None
    prepare_data: list | None = None


# What a training needs besides.
NEEDED = ("optimizer", "runner", "log_config", "workflow")
STATED = ("optimizer_config", "lr_config", "checkpoint_config")  # which may be None, for none


def check_settings(content: Mapping[str, Any], path: Any) -> None:
    """Checks the types of what is read of a settled config.

    Args:
        content: the config's keys and values.
        path: its file, for the error.

    Raises:
        UserError: a value is of another kind, or a needed key is missing; one line names the places.
    """
    validated(Settings, content, f"config {path}")


def check_training_settings(content: Mapping[str, Any], path: Any) -> None:
    """Checks that a settled config has what a training needs.

    Raises:
        UserError: something is missing.
    """
    missing = [key for key in NEEDED if content.get(key) is None] + [key for key in STATED if key not in content]
    for key, part in (("optimizer", "type"), ("optimizer", "lr"), ("runner", "type")):
        if key not in missing and part not in content[key]:
            missing.append(f"{key}.{part}")
    if content["data"].get("train") is None:
        missing.append("data.train")
    model, runner = content["model"], content.get("runner") or {}
    if model.get("bbox_head") and model.get("train_cfg") is None and content.get("train_cfg") is None:
        missing.append("model.train_cfg")
    if not missing and runner.get("max_epochs") is None and runner.get("max_iters") is None:
        missing.append("runner.max_epochs")
    if missing:
        raise UserError(f"config {path} has no {' and no '.join(missing)}, which training needs; add it")
