"""What the page shows of a picture: the detections of one or two detectors, and what is read of the memory."""

import base64
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ms2a.analysis.report.pictures import LOWEST_SCORE, encode
from ms2a.apis.detector import Detector
from ms2a.apis.show_memory import attention_maps, has_maps
from ms2a.memory.domains import choose_domain

NO_MEMORY = "none"
"""What the page calls reading a memory of zeros: no prototypes and no residual."""
PREVIEW_SIDE, PREVIEW_BYTES, READING_BYTES = 1280, 400_000, 40_000
_STEPS = 2**16 - 1


class Viewer:
    """Looks at pictures with an adapted detector and, where there is one, with the base detector.

    Several threads may call one viewer.

    Args:
        load: loads the adapted detector; called once more when somebody wants it without its memory.
        base: the one before the adaptation.
    """

    def __init__(self, load: Callable[[], Detector], base: Detector | None = None) -> None:
        self.detector, self.base = load(), base
        self._load = load
        self._without_memory: Detector | None = None
        self._lock = threading.Lock()
        self._has_memory = bool(getattr(self.detector.model, "adapter", None))
        self._can_forget = self._has_memory and NO_MEMORY not in self.detector.domains

    @property
    def domains(self) -> list[str]:
        """What may be read: the domains, and no memory where there is one to be left out."""
        return [*self.detector.domains, *[NO_MEMORY] * self._can_forget]

    def look(self, image: np.ndarray, domain: str | None = None) -> dict[str, Any]:
        """Detects objects.

        Args:
            image: (H, W, 3) uint8, BGR.
            domain: one of :attr:`domains`; None: the target.

        Returns:
            ``size``, width and height; ``src``, a preview; ``domain``; ``runs``: for ``before`` and ``after`` the
            ``seconds``, the ``boxes``, rows of x1, y1, x2, y2, score and class, and how many are ``left_out`` since
            they are not finite; and ``reading``, or None.

        Raises:
            UserError: the domain is unknown.
        """
        domain = choose_domain(domain, self.domains, self.detector.default_domain)
        empty = self._can_forget and domain == NO_MEMORY
        detector, named = (self._forgetful(), None) if empty else (self.detector, domain)
        # The base detector reads no memory, whatever the domain is called.
        runs = {"before": (self.base, None)} if self.base else {}
        runs["after"] = (detector, named)
        return {
            "size": [image.shape[1], image.shape[0]],
            "src": encode(image, PREVIEW_BYTES, PREVIEW_SIDE)[0],
            "domain": domain,
            "runs": {name: _timed(*run, image) for name, run in runs.items()},
            "reading": None if empty else self._reading(image, named),
        }

    def _reading(self, image: np.ndarray, domain: str | None) -> dict[str, Any] | None:
        """The picture as the network gets it, and for each level the attention (100, 100) as base64 of uint16."""
        if not self._has_memory or not has_maps(self.detector.model):
            return None
        seen = self.detector.network_input(image, domain)
        weights = attention_maps(self.detector.model, seen, domain)
        shown = np.ascontiguousarray(seen.permute(1, 2, 0).clamp(0, 255).byte().cpu().numpy())
        src, size = encode(shown, READING_BYTES)
        packed = [base64.b64encode(np.round(own * _STEPS).astype("<u2").tobytes()).decode() for own in weights]
        return {
            "src": src,
            "size": size,
            "weights": packed,
            "asks": self.detector.model.adapter.levels[0].layers[0].query,
        }

    def _forgetful(self) -> Detector:
        """The detector with an empty memory, loaded when it is first asked for."""
        with self._lock:
            if self._without_memory is None:
                self._without_memory = forget(self._load())
            return self._without_memory


@torch.no_grad()
def forget(detector: Detector) -> Detector:
    """Puts zeros in the place of all prototypes and residuals, in place; returns the detector."""
    adapter = detector.model.adapter
    for tensor in (*adapter.memory.parameters(), *adapter.memory.buffers()):
        tensor.zero_()
    adapter.keep()
    return detector


def _timed(detector: Detector, domain: str | None, image: np.ndarray) -> dict[str, Any]:
    start = time.perf_counter()
    found = detector(image, domain=domain, score_thr=LOWEST_SCORE)
    seconds = time.perf_counter() - start
    rows = [
        [*(round(float(side), 2) for side in box), round(float(score), 4), int(label)]
        for box, score, label in zip(found.boxes_xyxy, found.scores, found.labels, strict=True)
        if np.isfinite([*box, score]).all()  # JSON has no other numbers; a detector that was trained badly may
    ]
    return {"seconds": seconds, "boxes": rows, "left_out": len(found) - len(rows)}
