"""The benchmark: tasks × methods × numbers of annotated images × seeds, each run one line of JSON.

All methods of a seed start from the same base detector and read the same annotated images. What is finished is not done
again: every step leaves a record, see :mod:`ms2a.apis.pipeline`.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmcv import Config

from ms2a.apis.config import load_config
from ms2a.apis.extract import KINDS
from ms2a.apis.pipeline import ROOT, Runner, Step
from ms2a.apis.stages import (
    BASE,
    SOURCE_TRAINING,
    Adaptation,
    command_line,
    extract_step,
    load_adaptation,
    prepare_step,
    train_step,
)
from ms2a.apis.task import load_task
from ms2a.artefacts import provenance, read_json, write_text
from ms2a.errors import UserError

METHODS = ROOT / "configs" / "benchmark"
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
METRICS = ("mAP", "mAP_50")


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
    """

    run: Run
    config: Config
    adaptation: Adaptation
    shared: Sequence[Step]
    own: Sequence[Step]
    folder: Path

    @property
    def key(self) -> tuple:
        """What tells a run's line from others."""
        return self.adaptation.target, self.config.num_annotated, self.run.method, self.run.seed

    @property
    def config_sha256(self) -> str:
        """Of the settled config, wherever the benchmark's folder is."""
        text = json.dumps(self.config._cfg_dict, sort_keys=True).replace(str(self.adaptation.work_dir), "")
        return hashlib.sha256(text.encode()).hexdigest()


def known_methods() -> list[str]:
    """Names of the configs in ``configs/benchmark``."""
    return sorted(path.stem for path in METHODS.glob("*.py"))


def prepare_run(run: Run, work_dir: Path, device: str | None = None) -> Prepared:
    """Settles a run's config and writes it.

    Args:
        run: which.
        work_dir: of the whole benchmark.
        device: ``"cpu"``, ``"cuda"``, … or None for a GPU if there is one.

    Raises:
        UserError: an unknown method, or a task that cannot be read.
    """
    if run.method not in known_methods():
        raise UserError(f"unknown method {run.method!r}; known: {', '.join(known_methods())}")
    adaptation = _load(run, work_dir, device)
    source_training = adaptation.configs[SOURCE_TRAINING]
    variables = {key: source_training.get(key) for key in TASK_VARIABLES}
    variables["source_train"] = {**variables["source_train"], "pipeline": "${source_pipeline}"}
    method = load_config(METHODS / f"{run.method}.py", variables=variables)
    variables["load_from"] = str(adaptation.checkpoint(BASE))
    shared = [replace(train_step(adaptation, BASE), after=())]
    if method.get("num_prototypes"):
        steps, files = _memory(adaptation, method.num_prototypes, method.get("prototype", "map"))
        shared += steps
        if method.get("swap_memories"):
            files = dict(zip(files, reversed(files.values()), strict=True))
        variables["memory_files"] = files
    if method.model.get("style"):
        steps, files = _memory(adaptation, method.num_styles, "style")
        shared += steps
        styled_after = adaptation.source if method.get("style_of_source") else adaptation.target
        variables["style_file"] = files[f"{styled_after}_style"]
    options = {"checkpoint_config.interval": method.runner.max_epochs, "checkpoint_config.save_optimizer": False}
    if method.get("all_target_labels"):
        options["target_train.ann_file"] = "${target_pool}"
    method = load_config(METHODS / f"{run.method}.py", options, variables)
    folder = adaptation.work_dir / f"{adaptation.target}_{method.num_annotated}" / run.method
    write_text(method.pretty_text, folder / "config.py")
    return Prepared(run, method, adaptation, shared, _own_steps(adaptation, method, folder, shared), folder)


def _load(run: Run, work_dir: Path, device: str | None) -> Adaptation:
    """The task in the seed's folder, its base config written."""
    if run.task.suffix in (".yaml", ".yml"):
        if run.shots is not None:
            raise UserError(f"task file {run.task} says itself how many images are annotated; leave out --shots")
        folder = work_dir / run.task.stem / f"seed{run.seed}"
        adaptation = load_task(run.task, folder, run.seed, device)
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
    folder = adaptation.work_dir / "memory"
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
        steps.append(Step(f"{name}_train", train, [folder / "train"], [config], after=read))
        checkpoint = folder / "train" / "latest.pth"
    test = ["tools/test.py", config, checkpoint, "--eval", "bbox", "--out", folder / "results" / "detections.json"]
    test += ["--work-dir", folder / "results"]
    test = command_line(test, adaptation.device)
    read = [step.name for step in steps] or [BASE]
    return [*steps, Step(f"{name}_test", test, [folder / "results"], [config], after=read)]


def run_benchmark(
    runs: Sequence[Run],
    work_dir: Path,
    results: Path,
    jobs: int = 1,
    device: str | None = None,
    say: Callable[..., None] = print,
) -> None:
    """Does all runs that are not done yet and writes one line of JSON for each into ``results``.

    A run is done if the file has its line with the same config; its checkpoints need not be there.

    Args:
        runs: which, in the order in which they start.
        work_dir: for checkpoints, logs and records.
        results: file of JSON lines; lines of other runs are kept.
        jobs: runs at once; the CPU's cores are divided among them.
        device: ``"cpu"``, ``"cuda"``, … or None for a GPU if there is one.
        say: where progress is told.

    Raises:
        UserError: a task or method cannot be read, or a step failed.
    """
    prepared = [prepare_run(run, work_dir, device) for run in runs]
    known = {_key(line): line["config_sha256"] for line in read_results(results)} if results.exists() else {}
    wanted = len(prepared)
    prepared = [item for item in prepared if known.get(item.key) != item.config_sha256]
    say(f"{wanted - len(prepared)} of {wanted} runs have their line in {results}")
    if not prepared:
        return
    Runner(work_dir, say).run(list({step.name: step for p in prepared for step in prepare_step(p.adaptation)}.values()))
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))} if jobs > 1 else {}

    def runner(adaptation: Adaptation) -> Runner:
        return Runner(adaptation.work_dir, lambda *_, **__: None, environment, quiet=True)

    def share(chains: Iterable[Prepared]) -> None:
        for item in chains:
            runner(item.adaptation).run(item.shared)

    def finish(item: Prepared) -> dict[str, Any]:
        return _line(item, runner(item.adaptation).run([*item.shared, *item.own]))

    by_seed: dict[Path, list[Prepared]] = {}
    for item in prepared:
        by_seed.setdefault(item.adaptation.work_dir, []).append(item)
    with ThreadPoolExecutor(jobs) as pool:
        for number, done in enumerate(as_completed(pool.submit(share, chains) for chains in by_seed.values()), start=1):
            done.result()
            say(f"base detector and memories {number} of {len(by_seed)}", flush=True)
        failed = []
        for number, done in enumerate(as_completed(pool.submit(finish, item) for item in prepared), start=1):
            try:
                line = done.result()
            except UserError as error:  # the other runs need not wait for it to be mended
                failed.append(str(error))
                say(f"[{number}/{len(prepared)}] {error}", flush=True)
                continue
            _keep(line, results)
            scores = ", ".join(f"{name} {value:.1f}" for name, value in line["metrics"].items())
            what = f"{line['task']} {line['shots']} shots, seed {line['seed']}, {line['method']}"
            say(f"[{number}/{len(prepared)}] {what}: {scores} ({line['adaptation_seconds']:.0f} s)", flush=True)
    if failed:
        raise UserError(f"{len(failed)} of {len(prepared)} runs failed, the first: {failed[0]}")


def _line(item: Prepared, records: Sequence[Mapping]) -> dict[str, Any]:
    own = records[len(item.shared) :]
    metrics = read_json(item.folder / "results" / "metrics.json", "metrics file")["metrics"]
    domains = {"target": item.adaptation.target, "source": item.adaptation.source}
    return {
        "task": item.adaptation.target,
        "method": item.run.method,
        "title": item.config.title,
        "kind": item.config.kind,
        "shots": item.config.num_annotated,
        "seed": item.run.seed,
        "metrics": {
            f"{side} {metric}": round(100 * metrics[f"{domain}_bbox_{metric}"], 2)
            for side, domain in domains.items()
            for metric in METRICS
            if f"{domain}_bbox_{metric}" in metrics
        },
        "adaptation_seconds": round(sum(record["seconds"] for record in own[:-1]), 1),
        "test_seconds": round(own[-1]["seconds"], 1),
        "peak_mib": round(max(record["peak_mib"] for record in own)),
        "config_sha256": item.config_sha256,
        "provenance": provenance(f"configs/benchmark/{item.run.method}.py", item.run.seed),
    }


def _key(line: Mapping[str, Any]) -> tuple:
    return line["task"], line["shots"], line["method"], line["seed"]


def _keep(line: Mapping[str, Any], results: Path) -> None:
    """Adds a line to the file, in the place of an earlier one of the same run."""
    lines = {_key(old): old for old in read_results(results)} if results.exists() else {}
    lines[_key(line)] = line
    write_text("".join(json.dumps(lines[key]) + "\n" for key in sorted(lines)), results)


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines of a results file.

    Raises:
        UserError: the file is missing or a line is not valid.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise UserError(f"results file {path} does not exist; run tools/benchmark.py without --report first") from None
    except ValueError as error:
        raise UserError(f"results file {path} is not valid JSON lines ({error})") from None
