"""What every installed engine makes of a trained detector: its score, its speed and its memory."""

import contextlib
import io
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmcv import Config
from mmdet.datasets import build_dataset

from ms2a.apis.engine_worker import Form, Worker
from ms2a.apis.export import export_onnx
from ms2a.apis.quantise import import_nncf, quantise
from ms2a.apis.test import TestRun, evaluate
from ms2a.datasets.image_folder import find_images
from ms2a.errors import UserError, warn
from ms2a.runtime import read_about
from ms2a.runtime.engines import openvino_has_bfloat16

# What a form may lose of the mAP, in percent points, on any domain of the test set.
MAX_LOSS = 0.5
BATCHES = (1, 8)
FLOAT32 = "float32"
MAP = "mAP"  # where the test set has one domain


@dataclass
class Row:
    """One form of a detector, measured.

    Attributes:
        form: which.
        map_percent: COCO mAP in percent, by domain of the test set.
        images_per_second: from files to detections, medians of the rounds, by batch size.
        start_seconds: from the start of a process to the detections of one picture.
        memory_mib: the most that the process held.
    """

    form: Form
    map_percent: dict[str, float]
    start_seconds: float
    images_per_second: dict[int, float] = field(default_factory=dict)
    memory_mib: float = 0.0

    def loss(self, reference: "Row") -> float:
        """What it loses of another's mAP where it loses most."""
        return max(reference.map_percent[domain] - value for domain, value in self.map_percent.items())


def compare_engines(
    cfg: Config,
    checkpoint: str | os.PathLike,
    folder: str | os.PathLike,
    unlabelled: Sequence[str | os.PathLike] = (),
    rounds: int = 5,
    images: int = 64,
    threads: int | None = None,
    of_processor: bool = False,
) -> list[Row]:
    """Scores and times all forms of a detector on the config's test set, on the CPU.

    Args:
        cfg: from :func:`ms2a.config.load_config`.
        checkpoint: the trained weights.
        folder: where the exported files go.
        unlabelled: folders, images or COCO files of the target, to calibrate int8 on; without, there is no int8.
        rounds: how often each form is timed; the forms take turns.
        images: pictures of the test set that are timed.
        threads: of every engine; default: as many as torch uses.
        of_processor: count the processor's seconds, not the clock's: for a machine that others use too.

    Returns:
        a row for each form; the first is torch in float32, which the others are compared with.

    Raises:
        UserError: no test set, or pictures to calibrate on without nncf. A form that can't be made is left out with a
            warning.
    """
    if rounds < 1 or images < 1:
        raise UserError(f"`rounds={rounds}`, `images={images}`: expected 1 or more of each")
    if unlabelled:
        import_nncf()  # before the work of minutes
    cfg.data.test.test_mode = True
    dataset = build_dataset(cfg.data.test)
    run = TestRun(dataset, [[]] * len(dataset), cfg, str(checkpoint))
    paths = [(domain, str(path)) for domain, path, *_ in run.images()]
    rows, threads = [], threads or torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        workers = []
        for form in forms(cfg, checkpoint, Path(folder), unlabelled):
            try:
                worker = stack.enter_context(Worker(form, threads, paths[0][1]))
            except RuntimeError as error:
                if not rows:
                    raise
                warn(f"{error}: it is left out")  # its traceback is above
                continue
            run.detections = list(_detections(worker, paths, cfg))
            scores = {name: score for name, score in _scores(run).items() if form.only in (None, name) or name == MAP}
            rows.append(Row(form, scores, worker.start_seconds))
            workers.append(worker)
        timed = [path for _, path in paths[:images]]
        for batch in BATCHES:
            seconds: list[list[float]] = [[] for _ in workers]
            for counted in [False] + [True] * rounds:
                for worker, times in zip(workers, seconds, strict=True):
                    taken = worker.seconds(timed, None, batch, of_processor)
                    times += [taken] if counted else []
            for row, times in zip(rows, seconds, strict=True):
                row.images_per_second[batch] = len(timed) / statistics.median(times)
        for row, worker in zip(rows, workers, strict=True):
            row.memory_mib = worker.memory_mib()
    return rows


def forms(
    cfg: Config, checkpoint: str | os.PathLike, folder: Path, unlabelled: Sequence[str | os.PathLike] = ()
) -> Iterator[Form]:
    """Every form that what is installed here can run; files are written into ``folder`` on the way."""
    folder.mkdir(parents=True, exist_ok=True)
    yield Form("torch", FLOAT32, (cfg, str(checkpoint), "cpu"))
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        yield Form("torch", "bfloat16", (cfg, str(checkpoint), "cpu"))
    has_memory = bool(cfg.model.get("adapter"))
    engines = [engine for engine in ("onnxruntime", "openvino") if find_spec(engine)]
    if not engines:
        warn("neither onnxruntime nor openvino is installed; run: pip install onnx onnxruntime openvino")
        return

    def exported(name: str, **how: Any) -> Path | None:
        try:
            export_onnx(cfg, checkpoint, folder / f"{name}.onnx", **how)
        except UserError as error:
            warn(f"{error}: it is left out")
            return None
        return folder / f"{name}.onnx"

    steps = None
    for engine in engines:
        if file := exported(engine, all_domains=has_memory, runtime=engine):
            steps = read_about(file)["preprocessing"]
            yield Form(engine, FLOAT32, (str(file),))
            if engine == "openvino" and openvino_has_bfloat16():
                yield Form(engine, "bfloat16", (str(file),))
    if steps and not steps["divisor"]:
        if file := exported("opencv", raw=True, size=steps["size_hw"], runtime="opencv"):
            yield Form("opencv", FLOAT32, (str(file),), read_about(file)["domain"])
    if unlabelled and (raw := exported("raw", raw=True)):  # of the target, as the pictures are
        pictures = [Path(root, name) for part in unlabelled for root, name in find_images(part)]
        file = folder / "int8.onnx"
        quantise(raw, pictures, file)
        for engine in engines:
            yield Form(engine, "int8", (str(file),), read_about(file)["domain"])


def _detections(worker: Worker, paths: Sequence[tuple[str, str]], cfg: Config) -> Iterator[list]:
    """Detections of each picture, read with the memory of its own domain where there is a choice."""
    choice = bool(cfg.model.get("adapter")) and worker.form.only is None
    for domain in dict.fromkeys(domain for domain, _ in paths):
        own = [path for each, path in paths if each == domain]  # the test set has one domain after the other
        yield from worker.detect(own, domain if choice else None, 8)


def _scores(run: TestRun) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        scores = evaluate(run)
    ends = {key: key.removesuffix("bbox_mAP").rstrip("_") for key in scores if key.endswith("bbox_mAP")}
    return {domain or MAP: 100 * scores[key] for key, domain in ends.items()}


def verdicts(rows: Sequence[Row]) -> list[str]:
    """For each row whether it may be taken: what it loses at most, and which one is the fastest of those left."""
    losses = [row.loss(rows[0]) for row in rows]
    words = ["" if loss <= MAX_LOSS else f"loses {loss:.2f} mAP" for loss in losses]
    for batch in BATCHES:
        left = [index for index, loss in enumerate(losses) if loss <= MAX_LOSS]
        best = max(left, key=lambda index: rows[index].images_per_second[batch])
        words[best] = ", ".join(filter(None, [words[best], f"take at batch {batch}"]))
    return words


def table(rows: Sequence[Row], versions: Mapping[str, str]) -> str:
    """The rows in Markdown."""
    domains = list(rows[0].map_percent)
    titles = ["engine", "precision", *(MAP if domain == MAP else f"mAP {domain}" for domain in domains)]
    titles += [f"images/s, batch {batch}" for batch in BATCHES] + ["start, s", "memory, MiB", ""]
    lines = [titles, ["---"] * len(titles)]
    for row, verdict in zip(rows, verdicts(rows), strict=True):
        cells: list[Any] = [f"{row.form.engine} {versions.get(row.form.engine, '')}".strip(), row.form.precision]
        cells += [f"{row.map_percent[domain]:.2f}" if domain in row.map_percent else "–" for domain in domains]
        cells += [f"{row.images_per_second[batch]:.1f}" for batch in BATCHES]
        lines.append([*cells, f"{row.start_seconds:.1f}", f"{row.memory_mib:.0f}", verdict])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
