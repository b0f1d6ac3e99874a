"""Labelled images, each accompanied by an unlabelled one of the target."""

import copy
from collections.abc import Sequence

import numpy as np
from mmdet.datasets import DATASETS
from mmdet.datasets.pipelines import Compose

from ms2a.datasets.cross_domain_mix import CrossDomainMixDataset
from ms2a.datasets.domain_concat import domain_of
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.datasets.readable import SkippedImages
from ms2a.errors import UserError


@DATASETS.register_module()
class SelfTrainingDataset(CrossDomainMixDataset):
    """A :class:`CrossDomainMixDataset` whose items also hold a random unlabelled image in two views.

    The views share their geometry: boxes found in the weak view are those of the strong one. They are the keys
    ``unlabelled_weak`` and ``unlabelled_strong``, (3, H, W) like ``img``, and ``unlabelled_metas``.

    Args:
        *args: see :class:`CrossDomainMixDataset`.
        unlabelled: arguments of :class:`~ms2a.datasets.image_folder.ImageFolderDataset` without its pipeline.
        geometry: transforms of both views, the loading of the image included.
        distortion: transforms of the strong view alone; they keep the geometry.
        finish: transforms that format both views; they must leave ``img`` and ``img_metas``.
        **kwargs: see :class:`CrossDomainMixDataset`.

    Raises:
        UserError: see the parents; or none of the unlabelled images can be read.
    """

    def __init__(
        self,
        *args,
        unlabelled: dict,
        geometry: Sequence[dict],
        distortion: Sequence[dict],
        finish: Sequence[dict],
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._unlabelled = ImageFolderDataset(**unlabelled, pipeline=geometry)
        self._skipped = SkippedImages(len(self._unlabelled))
        self._distortion, self._finish = Compose(distortion), Compose(finish)
        annotated = [part.dataset for part in self.dataset.datasets if domain_of(part) == unlabelled["domain"]]
        labels = [dataset.get_ann_info(index)["labels"] for dataset in annotated for index in range(len(dataset))]
        counts = np.bincount(np.concatenate([*labels, []]).astype(int), minlength=len(self.CLASSES))
        self._objects_per_image = tuple((counts / max(len(labels), 1)).tolist())

    def __getitem__(self, idx: int) -> dict:
        item = super().__getitem__(idx)
        view = self._draw()
        strong = self._finish(self._distortion(copy.deepcopy(view)))
        weak = self._finish(view)
        weak["img_metas"].data["objects_per_image"] = self._objects_per_image
        return {
            **item,
            "unlabelled_weak": weak["img"],
            "unlabelled_strong": strong["img"],
            "unlabelled_metas": weak["img_metas"],
        }

    def _draw(self) -> dict:
        """A random unlabelled image; an unreadable one gives way to another."""
        for index in np.random.permutation(len(self._unlabelled)):
            view = self._unlabelled[index]
            if view is not None:
                return view
            self._skipped.skip(index, self._unlabelled.path(index))
        raise UserError(f"none of the {len(self._unlabelled)} unlabelled images can be read")
