"""An exported file as a function of pictures."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .about import DOMAIN, IMAGES, ExportError, read_about
from .boxes import decode, suppress
from .engines import Run, choose_engine, open_file
from .pictures import fit, read_picture

SCORE_THR = 0.3


@dataclass(frozen=True)
class Found:
    """The detections of one picture by falling score: pixels of the picture, scores in 0–1, positions in ``classes``.

    ``boxes_xyxy`` is (N, 4) float32, ``scores`` (N,) float32, ``labels`` (N,) int64.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class ExportedDetector:
    """An .onnx file of ``ms2a export`` as a function of pictures.

    Args:
        path: the file.
        engine: ``"onnxruntime"``, ``"openvino"``, ``"opencv"``, or ``"auto"``: OpenVINO, else ONNX Runtime.
        precision: ``"float32"``, or ``"bfloat16"`` where OpenVINO and the processor have it, which changes boxes.
        threads: of the engine; None: one a core, or as many as ``OMP_NUM_THREADS`` says.
        gpu: ONNX Runtime: TensorRT or CUDA, whichever this build has, before the CPU.

    Attributes:
        about: what the file says of itself.
        classes: class names.
        domains: the domains whose memory the file holds; empty for a detector without memory.
        default_domain: the one that is read if none is named.
        engine: the engine that was taken.
        run: the engine's function, from the file's inputs to its outputs.

    Raises:
        ExportError: a missing or damaged file, an engine that is not installed, or one that can't run this file.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        engine: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
        gpu: bool = False,
    ) -> None:
        self.about = read_about(path)
        if self.about["raw"] and self.about["suppression"] is None:
            raise ExportError(f"ONNX file {path} has maps, but its config no NMS that would make detections of them")
        self.engine = choose_engine(engine)
        self.classes = tuple(self.about["classes"])
        self.domains, self.default_domain = list(self.about["domains"]), self.about["domain"]
        self.run: Run = open_file(path, self.about, self.engine, precision, threads, gpu)

    def __call__(
        self, pictures: Any, domain: str | None = None, score_thr: float = SCORE_THR, batch_size: int = 8
    ) -> Found | list[Found]:
        """Detects objects.

        Args:
            pictures: a path, a (H, W, 3) uint8 array in BGR as ``cv2.imread`` gives it, or a list of these.
            domain: whose memory is read, where the file holds several.
            score_thr: detections with lower scores are left out.
            batch_size: pictures of a list that go through the network at once, if they are of one size there.

        Returns:
            the detections of the picture; of a list, those of each.

        Raises:
            ExportError: an unreadable picture, or an unknown domain.
        """
        several = isinstance(pictures, list | tuple)
        prepared = [self.prepare(picture) for picture in (pictures if several else [pictures])]
        found: list[Any] = [None] * len(prepared)
        for indices in _batches([image.shape for image, _ in prepared], batch_size):
            images, scales = zip(*(prepared[index] for index in indices), strict=True)
            rows = self.detect(np.stack(images), scales, [domain] * len(images))
            for index, (boxes, scores, labels) in zip(indices, rows, strict=True):
                order = np.argsort(-scores, kind="stable")
                order = order[scores[order] >= score_thr]
                found[index] = Found(boxes[order], scores[order], labels[order])
        return found if several else found[0]

    def prepare(self, picture: Any) -> tuple[np.ndarray, np.ndarray]:
        """The network's input (3, H, W) float32 and by what boxes are divided, (4,), of a path or a BGR picture."""
        steps = self.about["preprocessing"]
        if steps is None:
            raise ExportError("the test pipeline has steps that this file does not know; use MS2A's own commands")
        image = picture if isinstance(picture, np.ndarray) else read_picture(picture, steps["bit_depth"])
        return fit(image, **{key: steps[key] for key in ("size_hw", "divisor", "fill")})

    def detect(
        self, images: np.ndarray, scales: Sequence[np.ndarray], domains: Sequence[str | None]
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Boxes, scores and labels of each of some prepared pictures.

        Args:
            images: (B, 3, H, W) float32, BGR in 0–255.
            scales: for each (4,), by which its boxes are divided.
            domains: for each whose memory is read; None for the default.
        """
        batch, found = (self.about["shape"] or [len(images)])[0], []
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            outputs = self.run(self.inputs(images[part], domains[part]))
            if self.about["raw"]:
                decoded = zip(*decode(outputs), scales[part], strict=False)
                found += [
                    suppress(b / s, scores, labels, **self.about["suppression"]) for b, scores, labels, s in decoded
                ]
            else:
                rows = zip(*outputs, scales[part], strict=False)
                found += [(d[n >= 0, :4] / s, d[n >= 0, 4], n[n >= 0].astype(np.int64)) for d, n, s in rows]
        return found

    def inputs(self, images: np.ndarray, domains: Sequence[str | None]) -> dict[str, np.ndarray]:
        """The file's inputs by name; a batch that is too small for the file is filled up."""
        shape = self.about["shape"] or [len(images), *images.shape[1:]]
        if list(images.shape[1:]) != shape[1:]:
            raise ExportError(f"the file takes pictures of {shape[2]}x{shape[3]} pixels, not of {images.shape[2:]}")
        numbers, spare = [self._number(domain) for domain in domains], shape[0] - len(images)
        inputs = {IMAGES: np.ascontiguousarray(np.pad(images, [(0, spare)] + [(0, 0)] * 3) if spare else images)}
        if len(self.domains) > 1:
            inputs[DOMAIN] = np.array(numbers + [0] * spare, np.int64)
        return inputs

    def _number(self, domain: str | None) -> int:
        domain = self.default_domain if domain is None else domain
        if domain is None and not self.domains:
            return 0
        if domain not in self.domains:
            raise ExportError(f"unknown domain {domain!r}; the file knows {', '.join(self.domains) or 'none'}")
        return self.domains.index(domain)


def _batches(shapes: Sequence[tuple], size: int) -> Iterator[list[int]]:
    """Places of equal shapes, at most so many at once."""
    alike: dict[tuple, list[int]] = {}
    for index, shape in enumerate(shapes):
        alike.setdefault(shape, []).append(index)
    for indices in alike.values():
        yield from (indices[start : start + size] for start in range(0, len(indices), size))
