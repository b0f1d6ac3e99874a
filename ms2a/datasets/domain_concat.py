"""Several validation or test sets, one a domain, the target first."""

from collections.abc import Sequence
from typing import Any

from mmcv.utils import print_log
from mmdet.datasets import DATASETS, ConcatDataset, build_dataset

from ms2a.errors import UserError


def require_same_classes(datasets: Sequence[Any], names: Sequence[str]) -> None:
    """Checks that labels mean the same everywhere.

    Args:
        datasets: data sets with ``CLASSES``.
        names: how to call them in the error.

    Raises:
        UserError: two class lists differ, in content or in order.
    """
    for dataset, name in zip(datasets[1:], names[1:], strict=True):
        if tuple(dataset.CLASSES) != tuple(datasets[0].CLASSES):
            raise UserError(
                f"class lists differ: {list(datasets[0].CLASSES)} in {names[0]}, {list(dataset.CLASSES)} in {name}; "
                "a task has one list of classes in one order"
            )


def domain_of(dataset: Any) -> str:
    """Name of the domain of a data set, looked for inside mmdet's wrappers too.

    Raises:
        UserError: there is none, or more than one.
    """
    if hasattr(dataset, "domain"):
        return dataset.domain
    parts = getattr(dataset, "datasets", [getattr(dataset, "dataset", None)])
    names = {domain_of(part) for part in parts if part is not None}
    if len(names) != 1:
        raise UserError(
            f"{type(dataset).__name__} has {len(names)} domains {sorted(names)}, expected one; "
            "use type='DomainCocoDataset' with domain='<name>'"
        )
    return names.pop()


@DATASETS.register_module()
class DomainConcatDataset(ConcatDataset):
    """Data sets of different domains tested in one go; scores carry the name of their domain.

    Args:
        datasets: configs of the data sets, the target domain's first.
        pipeline: transforms for those that have none of their own.
        test_mode: passed on to all.

    Raises:
        UserError: no data sets, two of one domain, or differing class lists.
    """

    def __init__(self, datasets: Sequence[dict], pipeline: Sequence[dict] | None = None, test_mode: bool = False):
        if not datasets:
            raise UserError("DomainConcatDataset needs at least one data set, the target's first")
        default_args: dict[str, Any] = dict(test_mode=test_mode)
        if pipeline is not None:
            default_args["pipeline"] = pipeline
        built = [build_dataset(config, default_args) for config in datasets]
        self.domains = [domain_of(dataset) for dataset in built]
        if len(set(self.domains)) < len(self.domains):
            raise UserError(f"two data sets of one domain among {self.domains}: their scores would share a name")
        require_same_classes(built, self.domains)
        super().__init__(built)

    @property
    def target(self) -> str:
        """Name of the target domain."""
        return self.domains[0]

    def split_results(self, results: Sequence) -> dict[str, Sequence]:
        """Divides one list of results, as long as the data set, by domain."""
        if len(results) != len(self):
            raise ValueError(f"{len(results)} results for {len(self)} images")
        starts = [0, *self.cumulative_sizes]
        return {
            domain: results[start:end] for domain, start, end in zip(self.domains, starts, starts[1:], strict=False)
        }

    def format_results(self, results: Sequence, jsonfile_prefix: str, **kwargs: Any) -> dict[str, dict[str, str]]:
        """Writes the detections of each domain to ``<jsonfile_prefix>.<domain>.bbox.json``.

        Returns:
            The files by domain and kind of result.
        """
        parts = self.split_results(results)
        return {
            domain: dataset.format_results(parts[domain], jsonfile_prefix=f"{jsonfile_prefix}.{domain}", **kwargs)[0]
            for domain, dataset in zip(self.domains, self.datasets, strict=True)
        }

    def evaluate(
        self, results: Sequence, logger: Any = None, jsonfile_prefix: str | None = None, **kwargs: Any
    ) -> dict[str, float]:
        """Scores each data set by itself.

        Args:
            results: detections of all images in order.
            logger: as in mmdet.
            jsonfile_prefix: also keep the detections, see :meth:`format_results`.
            **kwargs: as in :meth:`mmdet.datasets.CocoDataset.evaluate`, e.g. ``classwise=True``.

        Returns:
            Scores by ``<domain>_<score>``, e.g. ``foggy_cityscapes_bbox_mAP``; the target's come first.
        """
        print_log(f"\nTarget domain: {self.target}; also evaluated: {self.domains[1:] or 'none'}", logger=logger)
        numbered = super().evaluate(results, logger=logger, **kwargs)
        if jsonfile_prefix is not None:
            self.format_results(results, jsonfile_prefix)
        scores = {}
        for key, value in numbered.items():
            number, name = key.split("_", 1)
            scores[f"{self.domains[int(number)]}_{name}"] = value
        return scores
