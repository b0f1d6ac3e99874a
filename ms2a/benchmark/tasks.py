"""The tasks of the benchmark's runs: recipes and task files, where their detector starts, and their draws.

Seed 0 is for choosing: of a task file that draws its annotated images from a pool, a third of the pool is tested
instead of the test set, and the rest is drawn from.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmcv import Config

from ms2a.artefacts import provenance, read_json
from ms2a.config_references import literal
from ms2a.datasets.fewshot import draw_subset
from ms2a.datasets.formats import read_annotations
from ms2a.datasets.formats.voc import read_list
from ms2a.errors import UserError, warn
from ms2a.pipeline.data import write_coco
from ms2a.pipeline.stages import BASE, SOURCE_TRAINING, Adaptation, load_adaptation
from ms2a.pipeline.start import recipe_options
from ms2a.pipeline.task import TASK_SUFFIXES, Task, adaptation_of, read_task
from ms2a.settled import write_config

# What makes a task: these variables of its source-training config replace those of a method's config, and where it has
# none the method's own, which are of another task, go.
TASK_VARIABLES = (
    "prepare_data",
    *("data_roots", "source_domain", "target_domain", "classes", "num_classes"),
    *("source_train", "target_train", "source_val", "target_test", "t1_test", "t2_test", "test_sets"),
    *("unlabelled_images", "memory_images", "target_pool", "num_annotated", "split_seed"),
    *("img_scale", "random_size_range", "mosaic_border", "memory_img_scale", "memory_sizes_hw"),
)
# Of the task's, the base detector knows nothing of these: its config, and so its training, does not depend on them.
TARGET_VARIABLES = ("target_train", "num_annotated", "split_seed", "unlabelled_images", "memory_images", "target_pool")
DEVELOPMENT_SEED = 0
PARTS_OF_POOL = 3  # one of them is what the development draw is tested on


@dataclass(frozen=True)
class Run:
    """One line of the results.

    Attributes:
        task: a config that ``tools/run_pipeline.py`` takes, or a task file.
        method: name of a config in ``configs/benchmark``.
        shots: number of annotated target images; None: what the task says.
        seed: of the initial weights, the draw of annotated images and everything else random.
        iterations: of the adaptation, a multiple of an epoch's; None: what the method's config says.
        detector: size of the detector; None: what the task says.
        weights: where the base detector starts, see :func:`ms2a.pipeline.start.choose_start`; None: as the task says.
    """

    task: Path
    method: str
    shots: int | None
    seed: int
    iterations: int | None = None
    detector: str | None = None
    weights: str | None = None

    @property
    def of_task(self) -> tuple:
        """What the task with its draw and its base detector depends on."""
        return self.task, self.shots, self.seed, self.detector, self.weights


@dataclass(frozen=True)
class RunTask:
    """The task of a run.

    Attributes:
        adaptation: in the seed's folder, which all methods share; its base config is written.
        variables: of the task, for the configs of all methods.
        development: whether a part of the pool is tested instead of the test set.
    """

    adaptation: Adaptation
    variables: dict[str, Any]
    development: bool


def read_run_task(run: Run, work_dir: Path, device: str | None, say: Callable[..., None] = print) -> RunTask:
    """Reads the task of a run and checks its data.

    Args:
        run: which.
        work_dir: of the whole benchmark.
        device: see :class:`~ms2a.pipeline.stages.Adaptation`.
        say: where it is told what was found.

    Raises:
        UserError: the task cannot be read or used, or is given ``shots`` although it draws nothing.
    """
    development = False
    if run.task.suffix in TASK_SUFFIXES:
        folder = work_dir / f"{run.task.stem}{_start_name(run)}" / f"seed{run.seed}"
        task = _drawn(read_task(run.task), run)
        development = run.seed == DEVELOPMENT_SEED and task.target.num_annotated is not None
        if development:
            task = development_task(task, folder / "annotations")
        given = run.detector or run.weights or task.detector or task.weights
        size = run.detector if given else "small"  # that of the methods' configs
        adaptation = adaptation_of(task, folder, run.seed, device, None, say, size, run.weights)
    else:
        adaptation = _of_recipe(run, work_dir, device, say)
        folder = work_dir / f"{adaptation.source}{_start_name(run)}" / f"seed{run.seed}"
    if run.seed == DEVELOPMENT_SEED and not development:
        warn(f"seed {run.seed} of {run.task} is tested on its test set: there is no 'num_annotated' of a pool")
    variables = _variables(adaptation.configs[SOURCE_TRAINING])
    base = Config({key: value for key, value in adaptation.configs[BASE].items() if key not in TARGET_VARIABLES})
    adaptation = replace(adaptation, configs={**adaptation.configs, BASE: base}, work_dir=folder)
    write_config(base, adaptation.config_path(BASE))
    return RunTask(adaptation, variables, development)


def development_task(task: Task, folder: Path) -> Task:
    """The task with a third of its pool as its test set, and the rest as its pool; both files are written.

    Args:
        task: with ``num_annotated`` images to draw.
        folder: where the two annotation files go.
    """
    entry = task.target.train
    listed = read_list(entry.list) if entry.list else None
    coco = read_annotations(
        entry.annotations, entry.images, task.classes, entry.format, entry.first_pixel, entry.class_map, listed
    ).coco
    tested = draw_subset(coco, task.classes, max(1, len(coco["images"]) // PARTS_OF_POOL), DEVELOPMENT_SEED)
    kept = {image["id"] for image in tested["images"]}
    rest = {
        **coco,
        "images": [image for image in coco["images"] if image["id"] not in kept],
        "annotations": [annotation for annotation in coco["annotations"] if annotation["image_id"] not in kept],
    }
    sets = {}
    for name, part in (("test", tested), ("train", rest)):
        made_by = provenance(config=f"development: {name} part of {entry.annotations.name}", seed=DEVELOPMENT_SEED)
        path = write_coco(part, made_by, folder / f"development_{name}.json")
        plain = dict(annotations=path, format=None, first_pixel=None, class_map=None, list=None)
        sets[name] = entry.model_copy(update=plain)
    return task.model_copy(update={"target": task.target.model_copy(update=sets)})


def _drawn(task: Task, run: Run) -> Task:
    """The task with as many annotated images as the run says."""
    if run.shots is None:
        return task
    if task.target.num_annotated is None:
        raise UserError(
            f"task file {run.task} says itself how many images are annotated; leave out `shots`, or let its target "
            "have num_annotated, and as its train a pool to draw from"
        )
    return task.model_copy(update={"target": task.target.model_copy(update={"num_annotated": run.shots})})


def _of_recipe(run: Run, work_dir: Path, device: str | None, say: Callable[..., None]) -> Adaptation:
    settings = {"split_seed": run.seed} | ({} if run.shots is None else {"num_annotated": run.shots})
    adaptation = load_adaptation(run.task, work_dir, run.seed, device, None, settings)
    if not (run.detector or run.weights):
        return adaptation
    options = recipe_options(run.detector, run.weights, None, adaptation.configs[BASE], say)
    return load_adaptation(run.task, work_dir, run.seed, device, options, settings)


def _start_name(run: Run) -> str:
    """What a start that the command line gives adds to the name of the folder."""
    parts = [run.detector, Path(run.weights).stem if run.weights else None]
    return "".join(f"_{part}" for part in parts if part)


def _variables(config: Config) -> dict[str, Any]:
    variables = {key: literal(config.get(key)) for key in TASK_VARIABLES}
    for side in ("source", "target"):
        variables[f"{side}_train"] = {**variables[f"{side}_train"], "pipeline": f"${{{side}_pipeline}}"}
    if variables["num_annotated"] is None:
        annotated = read_json(config.target_train.ann_file, "annotation file")["images"]
        variables["num_annotated"] = len(annotated)
    return variables
