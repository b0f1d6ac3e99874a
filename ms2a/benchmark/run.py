"""The benchmark: tasks × methods × numbers of annotated images × seeds, each run one line of JSON.

What is finished is not done again: every step leaves a record, see :mod:`ms2a.pipeline.runner`.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ms2a.artefacts import provenance, read_json, write_json, write_text
from ms2a.benchmark.lines import USUAL, key_of, options_of
from ms2a.benchmark.plan import Prepared, Run, prepare_run, rounds_of
from ms2a.benchmark.tasks import RunTask
from ms2a.errors import UserError, shortened
from ms2a.lock import in_turn
from ms2a.pipeline.runner import Runner
from ms2a.pipeline.stages import Adaptation, annotation_files, prepare_step
from ms2a.pipeline.task import TASK_SUFFIXES

METRICS = ("mAP", "mAP_50")
USUAL_EPOCH = 80  # iterations
# What every line holds that the report reads.
NEEDED = {"source", "task", "method", "title", "kind", "shots", "seed", "metrics", "adaptation_seconds"}


def run_benchmark(
    runs: Sequence[Run],
    work_dir: Path,
    results: Path,
    jobs: int = 1,
    device: str | None = None,
    keep: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    say: Callable[..., None] = print,
) -> None:
    """Does all runs that are not done yet and writes one line of JSON for each into ``results``.

    A run is done if the file has its line with the same config, and the same annotations where they are here; its
    checkpoints need not be there. With ``keep`` any line of the run will do: a new version that changes configs but not
    what they mean should not cost hours.

    Args:
        runs: which, in the order in which they start.
        work_dir: for checkpoints, logs and records.
        results: file of JSON lines; lines of other runs are kept.
        jobs: runs at once, at least 1; the CPU's cores are divided among them.
        device: ``"cpu"``, ``"cuda"``, … or None for a GPU if there is one.
        keep: leave a run alone if it has a line, whatever config made it.
        cfg_options: dotted keys and values for every method's config; runs with others are other runs, and their lines
            tell them.
        say: where progress is told.

    Raises:
        UserError: ``jobs`` below one, a task or method that cannot be read or used, two tasks whose lines could not be
            told apart, or a step that failed.
    """
    if jobs < 1:
        raise UserError(f"`jobs={jobs}`: expected 1 or more")
    tasks: dict[tuple, RunTask] = {}
    every = [prepare_run(run, work_dir, device, cfg_options, tasks, say) for run in runs]
    known = {key_of(line): line for line in read_results(results)} if results.exists() else {}
    _refuse_alike(every, known, results)
    prepared = list({item.key: item for item in every}.values())
    _note_wanted(prepared, results)
    wanted = len(prepared)
    prepared = [item for item in prepared if item.key not in known or not (keep or _is_current(known[item.key], item))]
    say(f"{wanted - len(prepared)} of {wanted} runs have their line in {results}")
    if former := sum(item.key in known for item in prepared):
        say(f"{former} lines are of another config or other annotations and will be replaced; --keep leaves them alone")
    if not prepared:
        return
    preparing = {tuple(step.command): step for item in prepared for step in prepare_step(item.adaptation)}
    Runner(work_dir, say).run(list(preparing.values()))
    _check_annotations(prepared)
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))} if jobs > 1 else {}

    def runner(adaptation: Adaptation) -> Runner:
        return Runner(adaptation.work_dir, lambda *_, **__: None, environment, quiet=True)

    with _stoppable_pool(jobs) as pool:
        rounds = rounds_of(prepared)
        for number, chains in enumerate(rounds, start=1):
            for done in [pool.submit(runner(adaptation).run, chain) for adaptation, chain in chains]:
                done.result()
            say(f"base detectors and memories: round {number} of {len(rounds)}", flush=True)
        finished = {pool.submit(runner(item.adaptation).run, [*item.shared, *item.own]): item for item in prepared}
        _collect(finished, results, say)


def _refuse_alike(every: Sequence[Prepared], known: Mapping[tuple, Mapping[str, Any]], results: Path) -> None:
    """Lines name the domains, folders the task file: one task's would stand for another's."""
    remedy = "give the domains of one other names, or use another `results`"
    tasks: dict[tuple, Path] = {}
    files: dict[str, Path] = {}
    for item in every:
        if item.run.task.suffix in TASK_SUFFIXES:  # folders of configs are called by their source
            if (first := files.setdefault(item.run.task.stem, item.run.task)) != item.run.task:
                raise UserError(f"tasks {first} and {item.run.task} would share one folder, by their name; rename one")
        both = f"go from {item.adaptation.source!r} to {item.adaptation.target!r}"
        if (first := tasks.setdefault(item.key, item.run.task)) != item.run.task:
            raise UserError(f"tasks {first} and {item.run.task} both {both}; {remedy}")
        classes = known.get(item.key, {}).get("classes")
        if classes not in (None, list(item.config.classes)):
            raise UserError(
                f"task {item.run.task} and lines of {results} both {both}, but find other classes: "
                f"{list(item.config.classes)} and {classes}; {remedy}"
            )


def _is_current(line: Mapping[str, Any], item: Prepared) -> bool:
    """Lines of former versions don't say of which annotations they are."""
    annotations = (line.get("annotations_sha256"), item.annotations_sha256)
    return line["config_sha256"] == item.config_sha256 and (None in annotations or len(set(annotations)) == 1)


@contextmanager
def _stoppable_pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that start nothing new once something went wrong or Ctrl-C was pressed."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _check_annotations(prepared: Sequence[Prepared]) -> None:
    """Before hours of work: the annotation file of each domain that is trained on is there."""
    for item in prepared:
        for side in ("source_train", "target_train"):
            for path in annotation_files(item.config[side]):
                if not path.exists():
                    there = shortened(" ".join(sorted(other.name for other in path.parent.glob("*.json"))))
                    raise UserError(
                        f"annotation file {path} of {side} (seed {item.run.seed}) does not exist; "
                        f"its folder has {there}; make it, or choose other `shots` or `seeds`"
                    )


def _collect(finished: Mapping[Future, Prepared], results: Path, say: Callable[..., None]) -> None:
    """Writes each run's line as soon as it is there; the other runs need not wait for a failed one to be mended."""
    failed = []
    for number, done in enumerate(as_completed(finished), start=1):
        place = f"[{number}/{len(finished)}]"
        try:
            line = _line(finished[done], done.result())
        except UserError as error:
            failed.append(str(error))
            say(f"{place} {error}", flush=True)
            continue
        _keep(line, results)
        scores = ", ".join(f"{name} {value:.1f}" for name, value in line["metrics"].items())
        what = f"{line['task']} {line['shots']} shots, seed {line['seed']}, {line['method']}"
        what += f", {line['iterations']} iterations" if line["iterations"] else ""
        what += f", {options_of(line)}" if options_of(line) else ""
        say(f"{place} {what}: {scores} ({line['adaptation_seconds']:.0f} s)", flush=True)
    if failed:
        raise UserError(f"{len(failed)} of {len(finished)} runs failed, the first: {failed[0]}")


def _line(item: Prepared, records: Sequence[Mapping]) -> dict[str, Any]:
    own = records[len(item.shared) :]
    metrics = read_json(item.folder / "results" / "metrics.json", "metrics file")["metrics"]
    domains = {"target": item.adaptation.target, "source": item.adaptation.source}
    return {
        **item.place,
        "title": item.method.title,
        "kind": item.method.kind,
        "classes": list(item.config.classes),
        **({"development": True} if item.development else {}),
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
        "annotations_sha256": item.annotations_sha256,
        "provenance": provenance(f"configs/benchmark/{item.run.method}.py", item.run.seed),
    }


def _in_order(key: tuple) -> list[tuple]:
    return [(part is not None, part) for part in key]


def _note_wanted(prepared: Sequence[Prepared], results: Path) -> None:
    """Notes which runs there are to be, so that the report can tell at any time which are missing."""
    with in_turn(results):
        wanted = {key_of(place): place for place in (*read_wanted(results), *(item.place for item in prepared))}
        write_json([wanted[key] for key in sorted(wanted, key=_in_order)], _wanted_file(results))


def read_wanted(results: Path) -> list[dict[str, Any]]:
    """What tells the runs that were asked for so far from each other; none where nobody noted it."""
    path = _wanted_file(results)
    return read_json(path, "list of wanted runs") if path.exists() else []


def missing_runs(lines: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the wanted runs that have no line."""
    done = set(map(key_of, lines))
    return [place for place in wanted if key_of(place) not in done]


def _wanted_file(results: Path) -> Path:
    return results.with_name(f"{results.stem}_wanted.json")


def _keep(line: Mapping[str, Any], results: Path) -> None:
    """Adds a line to the file, in the place of an earlier one of the same run; several processes may."""
    with in_turn(results):
        lines = {key_of(old): old for old in read_results(results)} if results.exists() else {}
        lines[key_of(line)] = line
        write_text("".join(json.dumps(lines[key]) + "\n" for key in sorted(lines, key=_in_order)), results)


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines of a results file; those of former versions are told what :data:`~ms2a.benchmark.lines.USUAL` then was.

    Raises:
        UserError: the file is missing or a line is not valid.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        raise UserError(
            f"results file {path} does not exist; run `ms2a benchmark` without --report and --against first"
        ) from None
    except ValueError as error:
        raise UserError(f"results file {path} is not valid JSON lines ({error})") from None
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, dict) or not NEEDED <= set(line):
            raise UserError(
                f"line {number} of results file {path}: expected an object with {', '.join(sorted(NEEDED))}"
            )
        for name, value in (USUAL | _as_optioned(line)).items():
            line.setdefault(name, value)
    return lines


def _as_optioned(line: Mapping[str, Any]) -> dict[str, int]:
    """The iterations of a line of a former version, which an option may have changed."""
    epochs = (line.get("cfg_options") or {}).get("max_epochs")
    return {} if epochs is None else {"iterations": USUAL_EPOCH * epochs}
