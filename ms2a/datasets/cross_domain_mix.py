"""Training on several domains at once, with augmentation that mixes images across or within domains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.utils import build_from_cfg
from mmdet.datasets import DATASETS, PIPELINES, ConcatDataset, MultiImageMixDataset, RepeatDataset, build_dataset

from ms2a.datasets.domain_concat import domain_of, require_same_classes
from ms2a.errors import UserError


class DomainPool(ConcatDataset):
    """Repeated and concatenated data sets that know which domain is being drawn.

    mmdet asks a mixing transform for partners by ``transform.get_indexes(pool)``, without saying for which image;
    ``drawn`` says so.

    Args:
        datasets: one or more a domain.
        domains: the domain of each.
        before_mixing: mixing transforms that every image goes through, with partners that have not.
    """

    def __init__(self, datasets: Sequence[Any], domains: Sequence[str], before_mixing: Sequence[Any] = ()) -> None:
        super().__init__(datasets)
        self._before_mixing = before_mixing
        self.names = list(dict.fromkeys(domains))
        numbers = [self.names.index(domain) for domain in domains]
        self._domain_of_index = np.repeat(numbers, [len(dataset) for dataset in datasets])
        self._own = [np.flatnonzero(self._domain_of_index == number) for number in range(len(self.names))]
        self._other = [np.flatnonzero(self._domain_of_index != number) for number in range(len(self.names))]
        self._drawn = 0

    def __getitem__(self, idx: int) -> dict:
        """Image ``idx``, which the transforms before mixing have changed."""
        results = super().__getitem__(idx)
        for transform in self._before_mixing:
            results["mix_results"] = list(map(super().__getitem__, transform.get_indexes(self)))
            results = transform(results)
            results.pop("mix_results")
        return results

    def indexes_of(self, domain: str) -> np.ndarray:
        """Indexes of the images of a domain, (N,) int64; an image repeated n times is there n times."""
        return self._own[self.names.index(domain)] if domain in self.names else np.empty(0, int)

    def draw(self, index: int) -> None:
        """Notes the domain of image ``index`` as the one being drawn."""
        self._drawn = int(self._domain_of_index[index])

    @property
    def drawn(self) -> str:
        """Name of the domain being drawn."""
        return self.names[self._drawn]

    @property
    def own_indexes(self) -> np.ndarray:
        """Indexes of the images of the domain being drawn, (N,) int64; an image repeated n times is there n times."""
        return self._own[self._drawn]

    @property
    def other_indexes(self) -> np.ndarray:
        """Indexes of the images of all other domains, (M,) int64."""
        return self._other[self._drawn]


class _Samples(RepeatDataset):
    """``samples`` images of a data set: whole repetitions of it, and the rest drawn, each from a part of its own."""

    def __init__(self, dataset: Any, samples: int) -> None:
        super().__init__(dataset, -(-samples // len(dataset)))
        self._samples = samples
        self.flag = self.flag[:samples]

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, idx: int) -> dict:
        size = len(self.dataset)
        rest = self._samples % size
        drawn = idx - (self._samples - rest)
        if drawn >= 0:
            idx = np.random.randint(drawn * size // rest, (drawn + 1) * size // rest)
        return super().__getitem__(idx)


def _repeat(dataset: Any, times: Any, samples: Any) -> RepeatDataset:
    if samples is not None:
        if not isinstance(samples, int) or samples < 1:
            raise UserError(f"samples={samples!r} of a domain must be a whole number, or 0 for none of its images")
        return _Samples(dataset, samples)
    if not isinstance(times, int) or times < 1:
        raise UserError(f"times={times!r} of a domain must be a whole number, 1 or more")
    return RepeatDataset(dataset, times)


@DATASETS.register_module()
class CrossDomainMixDataset(MultiImageMixDataset):
    """Source and target images repeated, concatenated and mixed.

    The image keeps the domain of its canvas: what is pasted in from another domain is augmentation, and the memory that
    the detector reads stays that of the canvas.

    Args:
        domains: for each domain ``dict(dataset=<config>, times=<int>, samples=<int>)``. ``times`` repeats the data set
            so often (default 1); ``samples``, if given, is the number of its images in an epoch: it is repeated, and
            what is left over is drawn anew in every epoch; 0 leaves it out. The order does not matter.
        pipeline: transforms that follow; :class:`~ms2a.datasets.transforms.CrossDomainCopyPaste` and
            :class:`~ms2a.datasets.transforms.SameDomainMosaic` take their partners by domain.
        skip_type_keys: types of transforms to leave out.
        max_refetch: how often to try again where a pipeline returns nothing.
        before_mixing: mixing transforms that every image goes through, the partners of the pipeline's too, such as
            :class:`~ms2a.datasets.paste_objects.PasteObjects`.

    Raises:
        UserError: fewer than two domains where CopyPaste needs another, a repetition below one, a number of
            samples below zero, or differing class lists.
    """

    def __init__(
        self,
        domains: Sequence[dict],
        pipeline: Sequence[dict],
        skip_type_keys: Sequence[str] | None = None,
        max_refetch: int = 15,
        before_mixing: Sequence[dict] = (),
    ) -> None:
        datasets, names = [], []
        for entry in domains:
            if entry.get("samples") == 0:
                continue
            dataset = build_dataset(entry["dataset"])
            datasets.append(_repeat(dataset, entry.get("times", 1), entry.get("samples")))
            names.append(domain_of(dataset))
        pasting = {"CrossDomainCopyPaste"} & {step["type"] for step in pipeline} - set(skip_type_keys or ())
        if len(set(names)) < (2 if pasting else 1):
            raise UserError(f"CrossDomainMixDataset needs two domains or more, got {names}; one: MultiImageMixDataset")
        require_same_classes(datasets, names)
        pool = DomainPool(datasets, names, [build_from_cfg(step, PIPELINES) for step in before_mixing])
        super().__init__(pool, pipeline, skip_type_keys=skip_type_keys, max_refetch=max_refetch)

    def __getitem__(self, idx: int) -> dict:
        """Image ``idx`` of an epoch, mixed with others."""
        self.dataset.draw(idx)
        return super().__getitem__(idx)
