"""What a run of the benchmark consists of: its settled config and its steps.

All methods of a seed start from the same base detector and read the same annotated images.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mmcv import Config

from ms2a.artefacts import read_json, write_text
from ms2a.config import CONFIGS, load_config
from ms2a.defaults import KINDS
from ms2a.errors import UserError
from ms2a.pipeline.runner import Step
from ms2a.pipeline.stages import (
    BASE,
    SOURCE_TRAINING,
    Adaptation,
    annotation_files,
    command_line,
    extract_step,
    load_adaptation,
    train_step,
)
from ms2a.pipeline.task import adaptation_of, read_task

METHODS = CONFIGS / "benchmark"
# What makes a task: these variables of its source-training config replace those of a method's config, and where it has
# none the method's own, which are of another task, go.
TASK_VARIABLES = (
    "prepare_data",
    *("data_roots", "source_domain", "target_domain", "classes", "num_classes"),
    *("source_train", "target_train", "source_val", "target_test", "t1_test", "t2_test", "test_sets"),
    *("unlabelled_images", "memory_images", "target_pool", "num_annotated", "split_seed"),
    *("img_scale", "random_size_range", "mosaic_border", "memory_img_scale", "memory_sizes_hw"),
)
# Of these the base detector knows nothing: its config, and so its training, is the same whatever they are.
TARGET_VARIABLES = ("target_train", "num_annotated", "split_seed", "unlabelled_images", "memory_images", "target_pool")


@dataclass(frozen=True)
class Run:
    """One line of the results.

    Attributes:
        task: a config that ``tools/run_pipeline.py`` takes, or a task file.
        method: name of a config in ``configs/benchmark``.
        shots: number of annotated target images; None: what the task says.
        seed: of the initial weights, the draw of annotated images and everything else random.
    """

    task: Path
    method: str
    shots: int | None
    seed: int


@dataclass(frozen=True)
class Prepared:
    """A run with its settled config and steps.

    Attributes:
        run: which.
        config: the method's config on the run's task.
        adaptation: the task; its folder is the seed's, shared by all methods.
        shared: steps that other runs of the seed need too, in order.
        own: steps of this run alone.
        folder: of this run.
        cfg_options: what changed the method's config besides.
    """

    run: Run
    config: Config
    adaptation: Adaptation
    shared: Sequence[Step]
    own: Sequence[Step]
    folder: Path
    cfg_options: Mapping[str, Any] | None

    @property
    def key(self) -> tuple:
        """What tells a run's line from others."""
        return (
            self.adaptation.source,
            self.adaptation.target,
            self.config.num_annotated,
            self.run.method,
            self.run.seed,
        )

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
    run: Run, work_dir: Path, device: str | None = None, cfg_options: Mapping[str, Any] | None = None
) -> Prepared:
    """Settles a run's config and writes it.

    Args:
        run: which.
        work_dir: of the whole benchmark.
        device: ``"cpu"``, ``"cuda"``, … or None for a GPU if there is one.
        cfg_options: dotted keys and values that the method's config gets; the base detector's does not.

    Raises:
        UserError: an unknown method, a task that cannot be read or whose detector is another, or ``cfg_options`` that
            are the task's.
    """
    if of_task := sorted({key.split(".")[0] for key in cfg_options or ()} & set(TASK_VARIABLES)):
        raise UserError(
            f"`cfg_options={', '.join(of_task)}`: the task says that; use `tasks`, `shots`, `seeds` or MS2A_DATA_ROOT"
        )
    if run.method not in known_methods():
        raise UserError(f"unknown method {run.method!r}; known: {', '.join(known_methods())}")
    adaptation = _load(run, work_dir, device)
    source_training = adaptation.configs[SOURCE_TRAINING]
    variables = {key: source_training.get(key) for key in TASK_VARIABLES}
    for side in ("source", "target"):
        variables[f"{side}_train"] = {**variables[f"{side}_train"], "pipeline": f"${{{side}_pipeline}}"}
    method = load_config(METHODS / f"{run.method}.py", cfg_options, variables)
    sizes = [config.model.neck.out_channels for config in (method, adaptation.configs[BASE])]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"task {run.task} has a detector of {sizes[1]} channels, configs/benchmark/{run.method}.py of {sizes[0]}; "
            "give both the same size"
        )
    variables["load_from"] = str(adaptation.checkpoint(BASE))
    shared = [replace(train_step(adaptation, BASE), after=())]
    if method.get("num_prototypes"):
        steps, files = _memory(adaptation, method.num_prototypes, method.get("prototype", "map"))
        shared += steps
        if method.get("swap_memories"):
            files = dict(zip(files, reversed(files.values()), strict=True))
        variables["memory_files"] = files
    for kind, used in (("style", method.model.get("style")), ("colour", method.get("colour_prob"))):
        if used:
            steps, files = _memory(adaptation, method[f"num_{kind}s"], kind)
            shared += steps
            domain = adaptation.source if method.get(f"{kind}_of_source") else adaptation.target
            variables[f"{kind}_file"] = files[f"{domain}_{kind}"]
    options = dict(cfg_options or {})
    options |= {"checkpoint_config.interval": method.runner.max_epochs, "checkpoint_config.save_optimizer": False}
    if method.get("all_target_labels"):
        options["target_train.ann_file"] = "${target_pool}"
    method = load_config(METHODS / f"{run.method}.py", options, variables)
    name = run.method
    if cfg_options:
        name += "_" + hashlib.sha256(json.dumps(cfg_options, sort_keys=True).encode()).hexdigest()[:8]
    folder = adaptation.work_dir / f"{adaptation.target}_{method.num_annotated}" / name
    write_text(method.pretty_text, folder / "config.py")
    own = _own_steps(adaptation, method, folder, shared)
    return Prepared(run, method, adaptation, shared, own, folder, cfg_options)


def _load(run: Run, work_dir: Path, device: str | None) -> Adaptation:
    """The task in the seed's folder, its base config written."""
    if run.task.suffix in (".yaml", ".yml"):
        if run.shots is not None:
            raise UserError(f"task file {run.task} says itself how many images are annotated; leave out `shots`")
        folder = work_dir / run.task.stem / f"seed{run.seed}"
        adaptation = adaptation_of(read_task(run.task), folder, run.seed, device)
        annotated = read_json(adaptation.configs[SOURCE_TRAINING].target_train.ann_file, "annotation file")
        adaptation.configs[SOURCE_TRAINING].num_annotated = len(annotated["images"])
    else:
        shots = {} if run.shots is None else {"num_annotated": run.shots}
        adaptation = load_adaptation(run.task, work_dir, run.seed, device, {"split_seed": run.seed, **shots})
        folder = work_dir / adaptation.source / f"seed{run.seed}"
        adaptation = Adaptation(adaptation.configs, folder, run.seed, device)
    base = {key: value for key, value in adaptation.configs[BASE].items() if key not in TARGET_VARIABLES}
    adaptation.configs[BASE] = Config(base)
    write_text(adaptation.configs[BASE].pretty_text, adaptation.config_path(BASE))
    return adaptation


def _memory(adaptation: Adaptation, num_prototypes: int, prototype: str) -> tuple[list[Step], dict[str, str]]:
    """Extraction and clustering of both domains; also the memory files by the names that the memory bank gives them."""
    folder = adaptation.memory
    out = folder / f"{adaptation.target}_{prototype}_k{num_prototypes}"
    domains = (adaptation.source, adaptation.target)
    extract = [replace(extract_step(adaptation, domain, prototype), after=(BASE,)) for domain in domains]
    names = [f"{domain}{kind}" for domain in domains for kind in KINDS[prototype]]
    command = ["knn_cuda.py", "--fea_root_path", folder, "--out_path", out, "--n_clusters", num_prototypes]
    command += ["--depart", *names, "--seed", adaptation.seed]
    files = {name: out / f"{name}_cluster.pth" for name in names}
    cluster = Step(
        f"cluster_{out.name}",
        command_line(command, adaptation.device),
        list(files.values()),
        after=[step.name for step in extract],
    )
    return [*extract, cluster], {name: str(file) for name, file in files.items()}


def _own_steps(adaptation: Adaptation, method: Config, folder: Path, shared: Sequence[Step]) -> list[Step]:
    """Training, if the method trains, and the test."""
    config, name = folder / "config.py", f"{folder.parent.name}_{folder.name}"
    steps, checkpoint = [], adaptation.checkpoint(BASE)
    if method.runner.max_epochs:
        train = ["tools/train.py", config, "--work-dir", folder / "train", "--seed", adaptation.seed, "--no-validate"]
        train = command_line(train, adaptation.device)
        read = [step.name for step in shared]
        inputs = [config, *annotation_files(method.data.train)]
        steps.append(Step(f"{name}_train", train, [folder / "train"], inputs, after=read))
        checkpoint = folder / "train" / "latest.pth"
    test = ["tools/test.py", config, checkpoint, "--eval", "bbox", "--out", folder / "results" / "detections.json"]
    test += ["--work-dir", folder / "results"]
    test = command_line(test, adaptation.device)
    read = [step.name for step in steps] or [BASE]
    inputs = [config, *annotation_files(method.data.test)]
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
