"""The detector: image → backbone → neck → memory of the image's domain → YOLOX head → boxes. Wiring only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from mmdet.models.builder import build_head, build_neck
from mmdet.models.detectors import YOLOX
from torch import Tensor

from ms2a.errors import UserError
from ms2a.memory.domains import choose_domain


@dataclass
class Batch:
    """What mmdet's forward passes do not hand on to ``extract_feat``, and what the extra losses need of it."""

    domains: list[str]
    boxes: list[Tensor] = field(default_factory=list)
    c5: Tensor | None = None
    neck: Sequence[Tensor] = ()
    adapted: Sequence[Tensor] = ()


# The batch in flight: each thread has its own, so that several may ask one detector at the same time.
_BATCH: ContextVar[Batch | None] = ContextVar("batch", default=None)


def domains_in_flight() -> list[str | None]:
    """The domain of each image that the network is looking at; empty outside of training and testing."""
    batch = _BATCH.get()
    return batch.domains if batch else []


class MS2AYOLOX(YOLOX):
    """mmdet's YOLOX with a memory adapter in front of the head and a foreground branch beside it.

    Without the additional arguments it is a plain YOLOX, which is the base detector of Stage I. Configs that name it
    build :class:`ms2a.models.baselines.detector.ComparedYOLOX`, this class and what it is compared with, all of it off
    unless the config switches it on.

    Args:
        *args: see mmdet's ``YOLOX``.
        adapter: config of the :class:`~ms2a.models.MemoryAdapter`, or None.
        foreground: config of the :class:`~ms2a.models.ForegroundBranch`, or None.
        default_domain: the target; images that name no domain belong to it when testing.
        **kwargs: see mmdet's ``YOLOX``.

    Raises:
        UserError: the adapter has other levels or channels than the neck.
    """

    def __init__(
        self,
        *args,
        adapter: dict | None = None,
        foreground: dict | None = None,
        default_domain: str | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.adapter = build_neck(adapter) if adapter else None
        if self.adapter:
            self._check_levels()
        self.foreground = build_head(foreground) if foreground else None
        self.default_domain = default_domain

    def _check_levels(self) -> None:
        in_neck, in_adapter = len(self.neck.in_channels), len(self.adapter.levels)
        channels, expected = self.neck.out_channels, self.adapter.channels
        if (in_neck, channels) != (in_adapter, expected):
            raise UserError(
                f"the neck has {in_neck} levels of {channels} channels, the memory adapter {in_adapter} of {expected}; "
                "make model.adapter.channels and the levels of model.adapter.memory.sizes_hw those of the neck"
            )

    @property
    def domains(self) -> list[str]:
        """The domains the memory knows; empty for a plain YOLOX."""
        return self.adapter.domains if self.adapter else []

    def start_epoch(self, iteration: int) -> None:
        """Draws the size that an epoch starts with, so that a resumed run sees the same sizes.

        Call it after seeding, and on every rank: the first one's draw counts.

        Args:
            iteration: training iterations done so far.
        """
        self._progress_in_iter = iteration
        self._input_size = self._random_resize(next(self.parameters()).device)

    def extract_feat(self, img: Tensor) -> Sequence[Tensor]:
        """(B, 3, H, W) in 0–255 → the head's three input maps, strides 8, 16, 32."""
        batch = _BATCH.get() or Batch(self._domains_of([{}] * len(img)))
        stages = self.backbone(img)
        batch.c5 = stages[-1]
        batch.neck = self.neck(stages)
        batch.adapted = self.adapter(batch.neck, batch.domains) if self.adapter else batch.neck
        return batch.adapted

    def forward_train(self, img, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore=None):
        """As in mmdet, with the loss of the foreground branch."""
        if img.dtype == torch.uint8:  # as the loader hands it over: a quarter of the bytes to move
            img = img.float()
        with self._reading(img_metas) as batch:
            losses = super().forward_train(img, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore)
            return {**losses, **self.further_losses(batch)}

    def further_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses besides those of the head."""
        return {"loss_foreground": self.foreground.loss(batch.c5, batch.boxes)} if self.foreground else {}

    def simple_test(self, img, img_metas, rescale=False):
        """As in mmdet; every image reads the memory of its own domain.

        Images that left the pipeline at different sizes were padded to make one batch. The sizes are tested one after
        the other, each without that padding, so that no image's detections depend on the others.
        """
        sizes = [tuple(meta.get("pad_shape", ())[:2]) for meta in img_metas]
        if len(set(sizes)) == 1:
            with self._reading(img_metas):
                return super().simple_test(img, img_metas, rescale)
        results = [None] * len(img)
        for height, width in dict.fromkeys(sizes):
            chosen = [index for index, size in enumerate(sizes) if size == (height, width)]
            metas = [img_metas[index] for index in chosen]
            found = self.simple_test(img[chosen, :, :height, :width], metas, rescale)
            for index, result in zip(chosen, found, strict=True):
                results[index] = result
        return results

    def aug_test(self, imgs, img_metas, rescale=False):
        """As in mmdet; the views of an image share its domain."""
        with self._reading(img_metas[0]):
            return super().aug_test(imgs, img_metas, rescale)

    def _preprocess(self, img, gt_bboxes):
        img, gt_bboxes = super()._preprocess(img, gt_bboxes)
        _BATCH.get().boxes = gt_bboxes  # at the size the network sees, after multi-scale resizing
        return img, gt_bboxes

    @contextmanager
    def _reading(self, img_metas: Sequence[dict]) -> Iterator[Batch]:
        token = _BATCH.set(Batch(self._domains_of(img_metas)))
        try:
            yield _BATCH.get()
        finally:
            _BATCH.reset(token)

    def _domains_of(self, img_metas: Sequence[dict]) -> list[str]:
        """The domain of each image: its own, or when testing the default one."""
        fallback = None if self.training else self.default_domain
        return [choose_domain(meta.get("domain"), self.domains, fallback) for meta in img_metas]
