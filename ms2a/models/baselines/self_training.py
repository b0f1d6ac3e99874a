"""Mean-teacher self-training: boxes that the moving average finds in unlabelled images become labels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ms2a.errors import UserError
from ms2a.memory.objects import ObjectMemory
from ms2a.models.baselines.believed import MatchedThresholds, box_vectors

# The grey that YOLOX pads images with.
PAD_VALUE = 114.0


class SelfTraining:
    """Makes pseudo-labels with the teacher, which is the moving average that the recipe's hook keeps.

    Source: Tarvainen 2017, "Mean teachers are better role models"; weak and strong views after Liu 2021, "Unbiased
    Teacher".

    Args:
        score_thr: boxes with lower scores, in 0–1, are not taken for labels.
        doubt_thr: where the teacher's boxes score between this and ``score_thr``, the strong view is painted over, so
            that a doubtful object teaches neither that it is one nor that it is background; None: nothing is painted.
        start_iter: iterations until the teacher is asked for the first time.
        match: so many of the objects that annotated images hold are believed, see
            :class:`~ms2a.models.baselines.believed.MatchedThresholds`; ``score_thr`` is then the lowest threshold.
            None: ``score_thr`` is the threshold of all classes.
        soft: the student's objectness learns the teacher's wherever no label says more, so that an object that is no
            label does not teach that it is background (after Zhou 2022, "Dense Teacher"), and labels do not teach where
            an object ends (Liu 2021). The images in which the teacher finds nothing count too.
    """

    def __init__(
        self,
        score_thr: float = 0.5,
        doubt_thr: float | None = None,
        start_iter: int = 0,
        match: float | None = None,
        soft: bool = False,
    ) -> None:
        self.score_thr = score_thr
        self.doubt_thr = doubt_thr
        self.start_iter = start_iter
        self.soft = soft
        self.matched = None if match is None else MatchedThresholds(match, score_thr)

    @torch.no_grad()
    def pseudo_labelled(
        self,
        detector: nn.Module,
        weak: Tensor,
        strong: Tensor,
        img_metas: Sequence[dict],
        memory: ObjectMemory | None = None,
    ) -> tuple[Tensor, list[dict], list[Tensor], list[Tensor]]:
        """The images in which the teacher finds something, with what it finds.

        Args:
            detector: the student; its own weights and statistics are not touched.
            weak: views for the teacher, (B, 3, H, W) in 0–255.
            strong: views of the same images for the student, of the same shape; not changed.
            img_metas: as from mmdet's pipelines; with ``match`` they hold ``objects_per_image``, see
                :class:`~ms2a.models.baselines.SelfTrainingDataset`.
            memory: boxes that it takes for background are no labels, but doubtful.

        Returns:
            for the N images with a pseudo-label: strong views (N, 3, H, W), metas, boxes (M, 4) in pixels of the view
            and labels int64 (M,) of each.
        """
        views, metas, boxes, labels = [], [], [], []
        necks = [detector.neck] if memory is not None else []
        heads = detector.bbox_head.multi_level_conv_obj if self.soft else []
        with _watching(necks) as maps, _watching(heads) as objectness:
            results = self._ask_teacher(detector, weak, img_metas)
        if self.soft:
            each = zip(*(level.sigmoid() for level in objectness), strict=True)
            img_metas = [dict(meta, soft_objectness=levels) for meta, levels in zip(img_metas, each, strict=True)]
        thresholds = self._thresholds(results, img_metas)
        every = [torch.from_numpy(np.vstack(result)).to(strong) for result in results]  # (M, 5)
        agreed = _agreed(memory, maps, every)
        for view, meta, result, found, agrees in zip(strong, img_metas, results, every, agreed, strict=True):
            classes = torch.arange(len(result)).repeat_interleave(torch.tensor([len(part) for part in result]))
            certain = (found[:, 4] >= thresholds[classes].to(found)) & agrees
            if certain.any() or self.soft:
                # By labels alone an image in which the teacher finds nothing would teach that all is background.
                views.append(self._without_doubts(view, found, certain))
                metas.append(meta)
                boxes.append(found[certain, :4])
                labels.append(classes.to(view.device)[certain])
        return (torch.stack(views) if views else strong[:0]), metas, boxes, labels

    def _ask_teacher(self, detector: nn.Module, weak: Tensor, img_metas: Sequence[dict]) -> list:
        """For each image and class (M, 5): boxes and scores."""
        with _evaluating(detector):
            return functional_call(
                detector,
                teacher_state(detector),
                kwargs=dict(img=[weak], img_metas=[list(img_metas)], return_loss=False, rescale=False),
            )

    def _thresholds(self, results: Sequence, img_metas: Sequence[dict]) -> Tensor:
        """One a class."""
        if self.matched is None:
            return torch.full((len(results[0]),), self.score_thr)
        return torch.from_numpy(self.matched(results, img_metas[0]["objects_per_image"])).float()

    def _without_doubts(self, view: Tensor, found: Tensor, certain: Tensor) -> Tensor:
        if self.doubt_thr is None:
            return view
        painted = view.clone()
        corners = found[:, :4].round().long().clamp(min=0).tolist()
        for x1, y1, x2, y2 in (box for box, score in zip(corners, found[:, 4], strict=True) if score >= self.doubt_thr):
            painted[:, y1:y2, x1:x2] = PAD_VALUE
        for x1, y1, x2, y2 in (box for box, sure in zip(corners, certain, strict=True) if sure):
            painted[:, y1:y2, x1:x2] = view[:, y1:y2, x1:x2]
        return painted


def teacher_state(detector: nn.Module) -> dict[str, Tensor]:
    """The moving average of the detector's parameters and statistics, by their names in the detector.

    Raises:
        UserError: no moving average is kept.
    """
    state = {}
    for name, value in [*detector.named_parameters(), *detector.named_buffers()]:
        average = getattr(detector, f"ema_{name.replace('.', '_')}", None)
        if average is not None and value.is_floating_point():
            state[name] = average
    if not state:
        raise UserError("self-training needs a teacher: add MemoryEMAHook to custom_hooks of the config")
    return state


@contextmanager
def _watching(parts: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """The maps that come out of some parts in the forward passes while it lasts."""
    maps: list[Tensor] = []

    def keep(part: nn.Module, inputs: tuple, output: Tensor | Sequence[Tensor]) -> None:
        maps.extend([output] if isinstance(output, Tensor) else output)

    hooks = [part.register_forward_hook(keep) for part in parts]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def _agreed(memory: ObjectMemory | None, maps: Sequence[Tensor], found: Sequence[Tensor]) -> Sequence[Tensor]:
    """For each image bool (M,), which of the boxes (M, 5) look like objects; all where there is no memory."""
    if memory is None:
        return [torch.ones(len(boxes), dtype=torch.bool, device=boxes.device) for boxes in found]
    agreement = memory.agreement(box_vectors(maps, [boxes[:, :4] for boxes in found]))
    return (agreement > 0).split([len(boxes) for boxes in found])


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; afterwards every part is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
