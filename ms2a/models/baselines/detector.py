"""The detector of all configs: the published method, and beside it what the benchmark compares it with."""

from collections.abc import Mapping, Sequence

import torch
from mmcv.runner import ModuleList
from mmdet.models.builder import DETECTORS, build_neck
from torch import Tensor

from ms2a.errors import UserError
from ms2a.memory.objects import ObjectMemory
from ms2a.models.baselines.alignment import build_alignment
from ms2a.models.baselines.believed import STRIDES, background_boxes, box_vectors
from ms2a.models.baselines.domain_norm import for_each_domain
from ms2a.models.baselines.self_training import SelfTraining
from ms2a.models.baselines.style import attach
from ms2a.models.detector import MS2AYOLOX, Batch


@DETECTORS.register_module("MS2AYOLOX")
class ComparedYOLOX(MS2AYOLOX):
    """:class:`~ms2a.models.MS2AYOLOX` with alignment losses, self-training and styles, each off by default.

    Args:
        *args: see :class:`~ms2a.models.MS2AYOLOX`.
        alignment: configs of :class:`~ms2a.models.baselines.FeatureAlignment`, or with ``to_memory`` of
            :class:`~ms2a.models.baselines.MemoryAlignment`, towards ``default_domain``; each adds one loss; or None.
        self_training: arguments of :class:`~ms2a.models.baselines.self_training.SelfTraining`, or None. The data
            set must be a :class:`~ms2a.models.baselines.SelfTrainingDataset`.
        object_memory: arguments of :class:`~ms2a.memory.objects.ObjectMemory`, which decides with the teacher's scores
            which boxes become labels, or None. It is filled by the annotated objects of ``default_domain``.
        style: config of the :class:`~ms2a.models.baselines.StyleMemory`, or None. Used in training only.
        **kwargs: see :class:`~ms2a.models.MS2AYOLOX`.

    Raises:
        UserError: alignment or object memory has no ``default_domain``, or the latter no self-training; see also the
            parent.
    """

    def __init__(
        self,
        *args,
        alignment: Sequence[dict] | None = None,
        self_training: dict | None = None,
        object_memory: dict | None = None,
        style: dict | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if alignment and self.default_domain is None:
            raise UserError("alignment needs model.default_domain, the name of the target, to tell its two sides apart")
        # mmcv's list: torch's would not hand init_weights on.
        self.alignment = ModuleList(build_alignment(config, self.default_domain) for config in alignment or ())
        self.self_training = SelfTraining(**self_training) if self_training else None
        if object_memory and (self.default_domain is None or not self_training):
            raise UserError("object_memory needs model.default_domain, the name of the target, and self_training")
        self.object_memory = ObjectMemory(**object_memory) if object_memory else None
        self._num_annotated = 0  # images of the batch; those with pseudo-labels stand behind them
        self.style = build_neck(style) if style else None
        self._styles: tuple[Tensor, Tensor] | None = None  # of the batch that trains
        if self.style:
            attach(self.style, self.backbone, lambda: self._styles)

    def from_base(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a base detector under the names of this one's tensors."""
        return for_each_domain(self, weights)

    def forward_train(self, img, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore=None, **unlabelled):
        """As in the parent, with styles and pseudo-labels.

        In self-training ``unlabelled_weak``, ``unlabelled_strong`` and ``unlabelled_metas`` come too; strong views with
        a pseudo-label join the batch.
        """
        self._num_annotated = len(img)
        if self.self_training and self._progress_in_iter >= self.self_training.start_iter:
            img, img_metas, gt_bboxes, gt_labels = self._with_pseudo_labels(
                img, img_metas, gt_bboxes, gt_labels, **unlabelled
            )
        if self.style:
            self._styles = self.style.draw(self._domains_of(img_metas), img.device)
        try:
            return super().forward_train(img, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore)
        finally:
            self._styles = None

    def further_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Those of the parent, one for each alignment, and, for the log, how many boxes self-training believed."""
        if self.object_memory:
            self._remember_objects(batch)
        aligned = {each.name: each(getattr(batch, each.on), batch.domains) for each in self.alignment}
        believed = sum(map(len, batch.boxes[self._num_annotated :]))
        told = {"pseudo_boxes": batch.c5.new_tensor(float(believed))} if self.self_training else {}
        return {**super().further_losses(batch), **aligned, **told}

    def _with_pseudo_labels(
        self, img, img_metas, gt_bboxes, gt_labels, unlabelled_weak, unlabelled_strong, unlabelled_metas
    ):
        views, metas, boxes, labels = self.self_training.pseudo_labelled(
            self, unlabelled_weak, unlabelled_strong, unlabelled_metas, self.object_memory
        )
        return torch.cat([img, views]), [*img_metas, *metas], [*gt_bboxes, *boxes], [*gt_labels, *labels]

    @torch.no_grad()
    def _remember_objects(self, batch: Batch) -> None:
        """Stores what the annotated images of the target show, and their background."""
        own = [n for n, domain in enumerate(batch.domains[: self._num_annotated]) if domain == self.default_domain]
        if not own:
            return
        maps = [level[own] for level in batch.neck]
        size_hw = [STRIDES[0] * side for side in maps[0].shape[-2:]]
        objects = [batch.boxes[n] for n in own]
        background = [background_boxes(boxes, size_hw) for boxes in objects]
        self.object_memory.store(box_vectors(maps, objects), box_vectors(maps, background))
