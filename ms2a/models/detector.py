"""The detector: image → backbone → neck → memory of the image's domain → YOLOX head → boxes. Wiring only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from mmcv.runner import ModuleList
from mmdet.models.builder import DETECTORS, build_head, build_neck
from mmdet.models.detectors import YOLOX
from torch import Tensor

from ms2a.errors import UserError
from ms2a.memory.domains import choose_domain
from ms2a.models.baselines.alignment import build_alignment
from ms2a.models.baselines.self_training import SelfTraining
from ms2a.models.baselines.style import attach


@dataclass
class _BatchInFlight:
    """What mmdet's forward passes do not hand on to ``extract_feat``, and what the extra losses need of it."""

    domains: list[str]
    boxes: list[Tensor] = field(default_factory=list)
    styles: tuple[Tensor, Tensor] | None = None
    c5: Tensor | None = None
    neck: Sequence[Tensor] = ()
    adapted: Sequence[Tensor] = ()


@DETECTORS.register_module()
class MS2AYOLOX(YOLOX):
    """mmdet's YOLOX with a memory adapter in front of the head and a foreground branch beside it.

    Without the additional arguments it is a plain YOLOX, which is the base detector of Stage I.

    Args:
        *args: see mmdet's ``YOLOX``.
        adapter: config of the :class:`~ms2a.models.MemoryAdapter`, or None.
        foreground: config of the :class:`~ms2a.models.ForegroundBranch`, or None.
        alignment: configs of :class:`~ms2a.models.baselines.FeatureAlignment`, or with ``to_memory`` of
            :class:`~ms2a.models.baselines.MemoryAlignment`, towards ``default_domain``; each adds one loss; or None.
        self_training: arguments of :class:`~ms2a.models.baselines.self_training.SelfTraining`, or None. The data
            set must be a :class:`~ms2a.models.baselines.SelfTrainingDataset`.
        style: config of the :class:`~ms2a.models.baselines.StyleMemory`, or None. Used in training only.
        default_domain: the target; images that name no domain belong to it when testing.
        **kwargs: see mmdet's ``YOLOX``.

    Raises:
        UserError: the adapter has other levels or channels than the neck, or alignment has no ``default_domain``.
    """

    def __init__(
        self,
        *args,
        adapter: dict | None = None,
        foreground: dict | None = None,
        alignment: Sequence[dict] | None = None,
        self_training: dict | None = None,
        style: dict | None = None,
        default_domain: str | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.adapter = build_neck(adapter) if adapter else None
        if self.adapter:
            self._check_levels()
        self.foreground = build_head(foreground) if foreground else None
        if alignment and default_domain is None:
            raise UserError("alignment needs model.default_domain, the name of the target, to tell its two sides apart")
        # mmcv's list: torch's would not hand init_weights on.
        self.alignment = ModuleList(build_alignment(config, default_domain) for config in alignment or ())
        self.self_training = SelfTraining(**self_training) if self_training else None
        self.style = build_neck(style) if style else None
        self.default_domain = default_domain
        self._batch: _BatchInFlight | None = None
        if self.style:
            attach(self.style, self.backbone, lambda: self._batch and self._batch.styles)

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
        batch = self._batch or _BatchInFlight(self._domains_of([{}] * len(img)))
        stages = self.backbone(img)
        batch.c5 = stages[-1]
        batch.neck = self.neck(stages)
        batch.adapted = self.adapter(batch.neck, batch.domains) if self.adapter else batch.neck
        return batch.adapted

    def forward_train(self, img, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore=None, **unlabelled):
        """As in mmdet, with the losses of the foreground branch and of the alignments.

        In self-training ``unlabelled_weak``, ``unlabelled_strong`` and ``unlabelled_metas`` come too; strong views with
        a pseudo-label join the batch.
        """
        if self.self_training and self._progress_in_iter >= self.self_training.start_iter:
            img, img_metas, gt_bboxes, gt_labels = self._with_pseudo_labels(
                img, img_metas, gt_bboxes, gt_labels, **unlabelled
            )
        with self._reading(img_metas) as batch:
            if self.style:
                batch.styles = self.style.draw(batch.domains, img.device)
            losses = super().forward_train(img, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore)
            if self.foreground:
                losses["loss_foreground"] = self.foreground.loss(batch.c5, batch.boxes)
            for alignment in self.alignment:
                losses[alignment.name] = alignment(getattr(batch, alignment.on), batch.domains)
        return losses

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

    def _with_pseudo_labels(
        self, img, img_metas, gt_bboxes, gt_labels, unlabelled_weak, unlabelled_strong, unlabelled_metas
    ):
        views, metas, boxes, labels = self.self_training.pseudo_labelled(
            self, unlabelled_weak, unlabelled_strong, unlabelled_metas
        )
        return torch.cat([img, views]), [*img_metas, *metas], [*gt_bboxes, *boxes], [*gt_labels, *labels]

    def _preprocess(self, img, gt_bboxes):
        img, gt_bboxes = super()._preprocess(img, gt_bboxes)
        self._batch.boxes = gt_bboxes  # at the size the network sees, after multi-scale resizing
        return img, gt_bboxes

    @contextmanager
    def _reading(self, img_metas: Sequence[dict]) -> Iterator[_BatchInFlight]:
        self._batch = _BatchInFlight(self._domains_of(img_metas))
        try:
            yield self._batch
        finally:
            self._batch = None

    def _domains_of(self, img_metas: Sequence[dict]) -> list[str]:
        """The domain of each image: its own, or when testing the default one."""
        fallback = None if self.training else self.default_domain
        return [choose_domain(meta.get("domain"), self.domains, fallback) for meta in img_metas]
