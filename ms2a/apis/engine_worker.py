"""A process that holds one form of a detector: it detects, tells times and its memory. Imports torch for torch only."""

import multiprocessing
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Form:
    """One way to run a detector.

    Attributes:
        engine: ``"torch"``, ``"onnxruntime"``, ``"openvino"`` or ``"opencv"``.
        precision: ``"float32"``, ``"bfloat16"`` or ``"int8"``.
        source: arguments of :class:`ms2a.Detector`, or the .onnx file alone.
        only: the one domain whose memory it holds; None: all there are.
    """

    engine: str
    precision: str
    source: tuple[Any, ...]
    only: str | None = None


class Worker:
    """The process of a form, which starts with this object; use it in a ``with`` statement.

    Args:
        form: what it holds.
        threads: of the engine.
        picture: what it detects to say that it is ready.

    Attributes:
        form: what it holds.
        start_seconds: from the start of the process to the detections of one picture.

    Raises:
        RuntimeError: the process ended; what it printed says why.
    """

    def __init__(self, form: Form, threads: int, picture: str) -> None:
        self.form = form
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        start = time.perf_counter()
        self._process = context.Process(target=_serve, args=(theirs, form, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._ask("detect", [picture], None, 1)
        self.start_seconds = time.perf_counter() - start

    def detect(self, pictures: Sequence[str], domain: str | None, batch_size: int) -> list[list[np.ndarray]]:
        """All detections in mmdet's format, for each picture and class (N, 5)."""
        return self._ask("detect", list(pictures), domain, batch_size)

    def seconds(
        self, pictures: Sequence[str], domain: str | None, batch_size: int, of_processor: bool = False
    ) -> float:
        """Seconds from files to detections, of the clock or of the processor, all threads together."""
        return self._ask("processor" if of_processor else "time", list(pictures), domain, batch_size)

    def memory_mib(self) -> float:
        """The most memory that it held so far."""
        return self._ask("memory")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def _ask(self, *question: Any) -> Any:
        self._pipe.send(question)
        try:
            return self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"the process of {self.form.engine}, {self.form.precision} ended") from None


def _serve(pipe: Any, form: Form, threads: int) -> None:
    detector = _open(form, threads)
    while True:
        kind, *arguments = pipe.recv()
        if kind == "memory":
            pipe.send(_peak_mib())
            continue
        pictures, domain, batch_size = arguments
        clock = time.process_time if kind == "processor" else time.perf_counter
        start = clock()
        found = detector(pictures, domain, score_thr=0.0, batch_size=batch_size)
        seconds = clock() - start
        pipe.send(seconds if kind != "detect" else [_by_class(one, len(detector.classes)) for one in found])


def _open(form: Form, threads: int) -> Any:
    if form.engine != "torch":
        from ms2a.runtime import ExportedDetector

        precision = "float32" if form.precision == "int8" else form.precision  # which is in the file
        return ExportedDetector(*form.source, engine=form.engine, precision=precision, threads=threads)
    import torch

    from ms2a.apis.detector import Detector

    torch.set_num_threads(threads)
    return Detector(*form.source, engine="torch", precision=form.precision)


def _by_class(found: Any, num_classes: int) -> list[np.ndarray]:
    rows = np.c_[found.boxes_xyxy, found.scores].astype(np.float32)
    return [rows[found.labels == label] for label in range(num_classes)]


def _peak_mib() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # On Linux what getrusage tells begins with the most that the starting process held.
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
