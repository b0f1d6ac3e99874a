"""What the commands ask of a config's data sets."""

from collections.abc import Iterator
from typing import Any

from mmdet.datasets import replace_ImageToTensor


def pipelines(dataset: Any) -> Iterator[dict]:
    """Every config inside ``dataset`` that has a pipeline of its own, itself and nested ones."""
    if isinstance(dataset, dict):
        if dataset.get("pipeline"):
            yield dataset
        dataset = [value for key, value in dataset.items() if key in ("dataset", "datasets")]
    if isinstance(dataset, (list, tuple)):
        for part in dataset:
            yield from pipelines(part)


def allow_batches(dataset: dict, loader: dict) -> None:
    """Prepares a test set's config for batches of more than one image, if its loader makes such, in place.

    Args:
        dataset: ``cfg.data.val`` or ``cfg.data.test``.
        loader: ``cfg.data.val_dataloader`` or ``cfg.data.test_dataloader``.
    """
    if loader.get("samples_per_gpu", 1) == 1:
        return
    found = list(pipelines(dataset))
    for part in found:
        part["pipeline"] = replace_ImageToTensor(part["pipeline"])
    # mmdet's train_detector does the same again, to this one only.
    dataset.setdefault("pipeline", found[0]["pipeline"])
