"""Both stages from one config: base, extract, cluster, source training, target training, tests, drawn detections.

Every step is one of the documented commands. A finished step leaves a record; the next start skips it unless its
command, its config or an earlier step has changed.
"""

import codecs
import contextlib
import ctypes
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import ms2a
from ms2a.artefacts import file_sha256, read_json, write_json
from ms2a.errors import EXIT_USER_ERROR, UserError
from ms2a.lock import only_one

# Where the package is found, for the steps' processes.
ROOT = Path(ms2a.__file__).parents[1]


@dataclass(frozen=True)
class ListedPictures:
    """The pictures that a COCO file lists, as an input of a step.

    Attributes:
        ann_file: the COCO file.
        folder: what the names start from.
    """

    ann_file: Path
    folder: Path

    def files(self) -> list[tuple[str, Path]]:
        """Name and path of each picture; none where there is no COCO file yet."""
        images = read_json(self.ann_file, "annotation file").get("images", ()) if self.ann_file.is_file() else ()
        return [(image["file_name"], self.folder / image["file_name"]) for image in images]


@dataclass(frozen=True)
class Step:
    """One command of the pipeline.

    Attributes:
        name: unique in the pipeline; names its record.
        command: the command line behind ``python``.
        outputs: files or folders that the step writes and nobody else does. Moved aside when its inputs have changed.
        inputs: files, folders or listed pictures that decide the result besides the command, e.g. the config and the
            annotations.
        always: run it at every start: it finds out by itself what is left to do.
        after: names of the steps whose results it reads, which must come before; None: all that come before.
    """

    name: str
    command: Sequence[str]
    outputs: Sequence[Path] = ()
    inputs: Sequence[Path | ListedPictures] = ()
    always: bool = False
    after: Sequence[str] | None = None


@dataclass
class Runner:
    """Runs steps in order and remembers which are done.

    Attributes:
        work_dir: records go to ``work_dir/steps``.
        say: where progress is told.
        environment: variables that the steps' processes get besides this one's.
        quiet: what the steps print goes to ``work_dir/steps/<name>.log``.
    """

    work_dir: Path
    say: Callable[..., None] = print
    environment: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False
    fingerprints: dict[str, str] = field(default_factory=dict, init=False)

    def run(self, steps: Sequence[Step]) -> list[dict]:
        """Runs what is not done yet.

        Returns:
            each step's record: name, seconds and peak memory in MiB of its last attempt, number of attempts, command.

        Raises:
            UserError: a step's command failed, and has told why itself; or another process works in the folder.
        """
        with only_one(self.work_dir, "the pipeline"):
            return self._run_in_order(steps)

    def _run_in_order(self, steps: Sequence[Step]) -> list[dict]:
        records = []
        for number, step in enumerate(steps, start=1):
            title = f"[{number}/{len(steps)}] {step.name}"
            self.fingerprints[step.name] = self._fingerprint(step)
            record = self._record(step)
            if not step.always and self._is_done(step, record):
                self.say(f"{title}: done before, {record['seconds']:.0f} s")
            else:
                self.say(f"\n{title}: python {shlex.join(step.command)}", flush=True)
                record = self._execute(step, record)
                self.say(f"{title}: {record['seconds']:.0f} s, peak memory {record['peak_mib']:.0f} MiB", flush=True)
            records.append(record)
        return records

    def _is_done(self, step: Step, record: dict) -> bool:
        unchanged = record.get("state") == "done" and record["fingerprint"] == self.fingerprints[step.name]
        return unchanged and all(path.exists() for path in step.outputs)

    def _record_path(self, step: Step) -> Path:
        return self.work_dir / "steps" / f"{step.name}.json"

    def _record(self, step: Step) -> dict:
        path = self._record_path(step)
        return read_json(path, "step record") if path.exists() else {}

    def _fingerprint(self, step: Step) -> str:
        """Of everything that decides the step's result: the earlier steps, its command and its inputs."""
        earlier = list(self.fingerprints) if step.after is None else step.after
        history = [self.fingerprints[name] for name in earlier]
        content = json.dumps([history, list(step.command), [_state(path) for path in step.inputs]])
        return hashlib.sha256(content.encode()).hexdigest()

    def _execute(self, step: Step, record: dict) -> dict:
        fingerprint = self.fingerprints[step.name]
        if record and record["fingerprint"] != fingerprint:
            for path in filter(Path.exists, step.outputs):
                aside = _free_name(path)
                path.rename(aside)
                self.say(f"the inputs of {step.name} have changed; its former results are kept in {aside}")
        again = record.get("state") == "started" and record["fingerprint"] == fingerprint
        # The time of an attempt that was killed is not known: the record says how many there were.
        attempts = record.get("attempts", 1) + 1 if again else 1
        record = {"name": step.name, "state": "started", "fingerprint": fingerprint, "seconds": 0.0}
        record["attempts"] = attempts
        write_json(record, self._record_path(step))
        log = self._record_path(step).with_suffix(".log") if self.quiet else None
        seconds, peak_mib, status = _run(step.command, self.environment, log)
        if status:
            mistake = status == EXIT_USER_ERROR
            hint = f"see {log}" if log else "see the line above" if mistake else "see its output above"
            raise UserError(f"step {step.name} failed ({hint}); once mended, the same command goes on from here")
        record |= {"state": "done", "seconds": seconds, "peak_mib": peak_mib, "command": list(step.command)}
        write_json(record, self._record_path(step))
        return record


def _state(path: Path | ListedPictures) -> list:
    """What tells that an input has changed: a file's content; names, sizes and times of several files."""
    if isinstance(path, ListedPictures):
        return sorted(_stamp(name, file) for name, file in path.files())
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return [_stamp(str(file.relative_to(path)), file) for file in files]
    return [file_sha256(path)] if path.exists() else []


def _stamp(name: str, path: Path) -> tuple[str, int, int]:
    """Name, size and time of a file; -1 where it is not there."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return name, -1, -1
    return name, state.st_size, state.st_mtime_ns


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.former{number}")).exists():
        number += 1
    return aside


def _die_with_parent() -> None:
    """Asks Linux to end this process with the pipeline, so that a killed one leaves no training behind."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _run(command: Sequence[str], more: Mapping[str, str], log: Path | None) -> tuple[float, float, int]:
    """Runs ``python COMMAND`` with more environment variables; what it prints goes to the log, if there is one.

    Returns:
        seconds, peak resident memory of its largest process in MiB, exit status.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])} | more
    # Where Python's output goes elsewhere, as in a notebook, what the step prints goes there too.
    relay = log is None and sys.stdout is not sys.__stdout__
    start = time.monotonic()
    with open(log, "wb") if log else contextlib.nullcontext(subprocess.PIPE if relay else None) as out:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT if relay else out,
            preexec_fn=_die_with_parent,
        )
    try:
        if relay:
            _relay(process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.monotonic() - start, usage.ru_maxrss / 1024, process.returncode


def _relay(stream: IO[bytes]) -> None:
    """Prints what a process writes, as soon as it comes, so that progress bars move."""
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    with stream:
        while chunk := stream.read1():
            print(decode(chunk), end="", flush=True)
