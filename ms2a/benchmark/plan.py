"""What a run of the benchmark consists of: its settled config and its steps.

All methods of a seed start from the same base detector and read the same annotated images.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mmcv import Config
from pydantic import PositiveInt

from ms2a.artefacts import memory_file, memory_names
from ms2a.benchmark.lines import key_of
from ms2a.benchmark.tasks import TASK_VARIABLES, Run, RunTask, read_run_task
from ms2a.config import CONFIGS, open_config, settle
from ms2a.config_references import literal
from ms2a.engine.sizes import size_of_model
from ms2a.errors import UserError
from ms2a.pipeline.runner import Step
from ms2a.pipeline.stages import (
    BASE,
    Adaptation,
    annotation_files,
    command_line,
    data_inputs,
    extract_step,
    refuse_options,
    train_step,
)
from ms2a.pipeline.task import TASK_SUFFIXES
from ms2a.settled import write_config
from ms2a.validation import Section, validated

METHODS = CONFIGS / "benchmark"
SAVED_EVERY = 9  # epochs of a longer training
# Of a config besides; options for these would have no effect.
BENCHMARK_SETS = ("load_from", "checkpoint_config", "memory_dir", "memory_files", "style_file", "colour_file")
# What a budget of iterations says.
LENGTH = ("max_epochs", "runner")


class Method(Section):
    """What a method's config says of itself, in its block ``benchmark``.

    Attributes:
        title: in tables and plots.
        kind: ``"bound"``, ``"baseline"``, ``"method"`` or ``"control"``.
        memories: what its memory holds → how many; kinds of prototype are those of ``extract_fea_fewshot.py``. Maps or
            vectors are its ``memory_files``; styles and colours, of its ``style_domain`` or ``colour_domain``, are its
            ``style_file`` and ``colour_file``.
        swapped: a control, each domain reads the other's memory.
        all_target_labels: trained with all labels of the target's pool.
        fixed: it does not train, or is as long as it is, whatever the budget of iterations.
    """

    title: str
    kind: Literal["bound", "baseline", "method", "control"]
    memories: dict[Literal["map", "vector", "style", "colour"], PositiveInt] = {}
    swapped: bool = False
    all_target_labels: bool = False
    fixed: bool = False


@dataclass(frozen=True)
class Prepared:
    """A run with its settled config and steps.

    Attributes:
        run: which.
        method: what the config says of itself.
        config: the method's config on the run's task.
        adaptation: the task; its folder is the seed's, shared by all methods.
        development: see :class:`~ms2a.benchmark.tasks.RunTask`.
        shared: steps that other runs of the seed need too, in order.
        own: steps of this run alone.
        folder: of this run.
        cfg_options: what changed the method's config besides.
    """

    run: Run
    method: Method
    config: Config
    adaptation: Adaptation
    development: bool
    shared: Sequence[Step]
    own: Sequence[Step]
    folder: Path
    cfg_options: Mapping[str, Any] | None

    @property
    def place(self) -> dict[str, Any]:
        """What tells a run's line from others, by its names there."""
        base = self.adaptation.configs[BASE]
        return {
            "source": self.adaptation.source,
            "task": self.adaptation.target,
            "shots": self.config.num_annotated,
            "method": self.run.method,
            "seed": self.run.seed,
            "iterations": None if self.method.fixed else self.config.runner.max_epochs * _epoch(self.config),
            "detector": size_of_model(base.model),
            "weights": Path(base.load_from).name if base.get("load_from") else None,
            **({"cfg_options": self.cfg_options} if self.cfg_options else {}),
        }

    @property
    def key(self) -> tuple:
        """See :func:`ms2a.benchmark.lines.key_of`."""
        return key_of(self.place)

    @property
    def config_sha256(self) -> str:
        """Of the settled config, wherever the benchmark's folder is."""
        text, folder = json.dumps(self.config._cfg_dict, sort_keys=True), self.adaptation.work_dir
        for name in (str(folder.resolve()), str(folder)):
            text = text.replace(name, "")
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def annotations_sha256(self) -> str | None:
        """Of what is trained on and tested; None while a file is not there."""
        files = [*annotation_files(self.config.data.train), *annotation_files(self.config.data.test)]
        if not all(path.exists() for path in files):
            return None
        content = [_file_sha256(path, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(" ".join(content).encode()).hexdigest()


@cache
def _file_sha256(path: Path, modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def known_methods() -> list[str]:
    """Names of the configs in ``configs/benchmark``."""
    return sorted(path.stem for path in METHODS.glob("*.py"))


def prepare_run(
    run: Run,
    work_dir: Path,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    read: dict[tuple, RunTask] | None = None,
    say: Callable[..., None] = print,
) -> Prepared:
    """Settles a run's config and writes it.

    Args:
        run: which.
        work_dir: of the whole benchmark.
        device: ``"cpu"``, ``"cuda"``, … or None for a GPU if there is one.
        cfg_options: dotted keys and values that the method's config gets; the base detector's does not.
        read: the tasks that were read so far, which are not read again; another is added.
        say: where it is told what is found in a task's data.

    Raises:
        UserError: an unknown method, a task that cannot be read or whose detector is another, a number of iterations
            that is no whole number of epochs, or ``cfg_options`` that are the task's.
    """
    refuse_options(cfg_options, TASK_VARIABLES, "the task says that; use `tasks`, `shots`, `seeds` or MS2A_DATA_ROOT")
    refuse_options(cfg_options, BENCHMARK_SETS, "the benchmark sets that, the same for all methods")
    if run.iterations is not None:
        refuse_options(cfg_options, LENGTH, f"`iterations={run.iterations}` says how long the training is; give one")
    if run.method not in known_methods():
        raise UserError(f"unknown method {run.method!r}; known: {', '.join(known_methods())}")
    read = {} if read is None else read
    if run.of_task not in read:
        read[run.of_task] = read_run_task(run, work_dir, device, say)
    task = read[run.of_task]
    adaptation = task.adaptation
    config = settle(_open_method(run, task, cfg_options))
    sizes = [config.model.neck.out_channels, adaptation.configs[BASE].model.neck.out_channels]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"task {run.task} has a detector of {sizes[1]} channels, configs/benchmark/{run.method}.py of {sizes[0]}; "
            "give both the same size"
        )
    method = validated(Method, config.benchmark, f"'benchmark' in configs/benchmark/{run.method}.py")
    if config.get("colour_prob") and "colour" not in method.memories:
        raise UserError(
            f"`cfg_options=colour_prob`: configs/benchmark/{run.method}.py asks for no memory of colours; give "
            "benchmark.memories.colour=20 too"
        )
    name = run.method if run.iterations is None or method.fixed else f"{run.method}_{run.iterations}"
    if cfg_options:
        name += "_" + hashlib.sha256(json.dumps(cfg_options, sort_keys=True).encode()).hexdigest()[:8]
    folder = adaptation.work_dir / f"{adaptation.target}_{config.num_annotated}" / name
    write_config(config, folder / "config.py")
    shared = [replace(train_step(adaptation, BASE), after=())]
    for kind, count in method.memories.items():
        shared += _memory_steps(adaptation, kind, count)
    own = _own_steps(adaptation, config, folder, shared)
    return Prepared(run, method, config, adaptation, task.development, shared, own, folder, cfg_options)


def _open_method(run: Run, task: RunTask, cfg_options: Mapping[str, Any] | None) -> Config:
    """The method's config on the task: it starts from the base detector and reads the memory that it asks for."""
    adaptation = task.adaptation
    own_start = run.detector or run.weights or run.task.suffix in TASK_SUFFIXES
    size = {"detector": size_of_model(adaptation.configs[BASE].model)} if own_start else {}
    path = METHODS / f"{run.method}.py"
    cfg = open_config(path, cfg_options, copy.deepcopy(task.variables), size)
    if run.iterations is not None and not cfg.benchmark.get("fixed"):
        cfg = open_config(path, cfg_options, copy.deepcopy(task.variables), size | _budget(cfg, run.iterations))
    cfg.load_from = literal(str(adaptation.checkpoint(BASE)))
    long = cfg.max_epochs > SAVED_EVERY  # a long one goes on from its last checkpoint where it was stopped
    saved = dict(interval=SAVED_EVERY if long else "${runner.max_epochs}", save_optimizer=long)
    cfg.checkpoint_config = {**cfg.checkpoint_config, **saved}
    if cfg.benchmark.get("all_target_labels"):
        cfg.target_train.ann_file = "${target_pool}"
    for kind, count in cfg.benchmark.get("memories", {}).items():
        # The count may be a reference; what is above that folder is none.
        folder = Path(literal(str(adaptation.memory)), _memory_folder(adaptation, kind, count).name)
        if kind in ("style", "colour"):
            (name,) = memory_names(f"${{{kind}_domain}}", kind)
            cfg[f"{kind}_file"] = memory_file(folder, name)
            continue
        files = {name: memory_file(folder, name) for name in _memory_names(adaptation, kind)}
        if cfg.benchmark.get("swapped"):
            files = dict(zip(files, reversed(files.values()), strict=True))
        cfg.memory_files = files
    return cfg


def _budget(cfg: Config, iterations: int) -> dict[str, int]:
    """Options for so many iterations, the last third without mixing, the first without pseudo-labels, as usual."""
    epochs, rest = divmod(iterations, _epoch(cfg))
    if rest or not epochs:
        raise UserError(f"`iterations={iterations}`: expected a multiple of {_epoch(cfg)}, one epoch of every method")
    asked = {"model.self_training.start_iter": iterations // 3} if cfg.model.get("self_training") else {}
    return {"max_epochs": epochs, "num_last_epochs": max(1, epochs // 3), **asked}


def _epoch(cfg: Config) -> int:
    """Iterations of an epoch."""
    return -(-(cfg.source_samples + cfg.target_samples) // cfg.batch_size)


def _memory_folder(adaptation: Adaptation, kind: str, count: int | str) -> Path:
    return adaptation.memory / f"{adaptation.target}_{kind}_k{count}"


def _memory_names(adaptation: Adaptation, kind: str) -> list[str]:
    """What the memories of both domains are called in the memory bank and in files."""
    return [name for domain in (adaptation.source, adaptation.target) for name in memory_names(domain, kind)]


def _memory_steps(adaptation: Adaptation, kind: str, count: int) -> list[Step]:
    """Extraction and clustering of both domains."""
    out, names = _memory_folder(adaptation, kind, count), _memory_names(adaptation, kind)
    domains = (adaptation.source, adaptation.target)
    extract = [replace(extract_step(adaptation, domain, kind), after=(BASE,)) for domain in domains]
    command = ["cluster", "--fea_root_path", adaptation.memory, "--out_path", out, "--n_clusters", count]
    command = command_line([*command, "--depart", *names, "--seed", adaptation.seed], adaptation.device)
    files = [Path(memory_file(out, name)) for name in names]
    return [*extract, Step(f"cluster_{out.name}", command, files, after=[step.name for step in extract])]


def _own_steps(adaptation: Adaptation, method: Config, folder: Path, shared: Sequence[Step]) -> list[Step]:
    """Training, if the method trains, and the test."""
    config, name = folder / "config.py", f"{folder.parent.name}_{folder.name}"
    steps, checkpoint = [], adaptation.checkpoint(BASE)
    if method.runner.max_epochs:
        train = ["train", config, "--work-dir", folder / "train", "--seed", adaptation.seed, "--no-validate"]
        train += ["--auto-resume"]
        train = command_line(train, adaptation.device)
        read = [step.name for step in shared]
        inputs = [config, *data_inputs(method.data.train)]
        steps.append(Step(f"{name}_train", train, [folder / "train"], inputs, after=read))
        checkpoint = folder / "train" / "latest.pth"
    test = ["test", config, checkpoint, "--eval", "bbox", "--out", folder / "results" / "detections.json"]
    test += ["--work-dir", folder / "results"]
    test = command_line(test, adaptation.device)
    read = [step.name for step in steps] or [BASE]
    inputs = [config, *data_inputs(method.data.test)]
    return [*steps, Step(f"{name}_test", test, [folder / "results"], inputs, after=read)]


def rounds_of(prepared: Sequence[Prepared]) -> list[list[tuple[Adaptation, list[Step]]]]:
    """Every shared step once, behind the steps that it needs, in rounds: each needs the rounds before it only."""
    rounds: dict[int, dict[tuple, tuple[Adaptation, list[Step]]]] = {}
    for item in prepared:
        chains: dict[str, list[Step]] = {}
        depths: dict[str, int] = {}
        for step in item.shared:
            needed = {earlier.name: earlier for name in step.after for earlier in chains[name]}
            chains[step.name] = [*needed.values(), step]
            depths[step.name] = depth = 1 + max((depths[name] for name in step.after), default=-1)
            key = (item.adaptation.work_dir, step.name)
            rounds.setdefault(depth, {})[key] = (item.adaptation, chains[step.name])
    return [list(rounds[depth].values()) for depth in sorted(rounds)]
