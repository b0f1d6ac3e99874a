"""What a config's data sets hold, and edits of it: pipelines, batches, views, strictness."""

import copy
from collections.abc import Iterator
from typing import Any

from mmdet.datasets import replace_ImageToTensor

from ms2a.errors import UserError

SCALE_KEYS = ("img_scale", "scale_factor")


def pipelines(dataset: Any) -> Iterator[dict]:
    """Every config inside ``dataset`` that has a pipeline of its own, itself and nested ones."""
    if isinstance(dataset, dict):
        if dataset.get("pipeline"):
            yield dataset
        dataset = [value for key, value in dataset.items() if key in ("dataset", "datasets")]
    if isinstance(dataset, (list, tuple)):
        for part in dataset:
            yield from pipelines(part)


def test_pipeline(test: Any) -> list[dict]:
    """A copy of the first pipeline inside a test set's config.

    Raises:
        UserError: there is none.
    """
    found = next(pipelines(test), None)
    if found is None:
        raise UserError("the config has no test pipeline: set data.test.pipeline")
    return copy.deepcopy(found["pipeline"])


test_pipeline.__test__ = False  # not a test case, whatever its name says to pytest


def make_strict(dataset: Any) -> None:
    """Lets every annotated data set inside a training set's config stop at an unreadable image, in place."""
    if isinstance(dataset, dict):
        if dataset.get("type") == "DomainCocoDataset":
            dataset["strict"] = True
        dataset = [value for key, value in dataset.items() if key in ("dataset", "datasets", "domains")]
    if isinstance(dataset, (list, tuple)):
        for part in dataset:
            make_strict(part)


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


def flip_views(dataset: dict) -> None:
    """Adds the mirror image to the views that are tested, in place.

    Raises:
        UserError: a pipeline has no MultiScaleFlipAug.
    """
    for step in _view_steps(dataset):
        step["flip"] = True


def has_views(dataset: dict) -> bool:
    """Whether a test set's config tests more than one view of an image."""
    return any(
        step.get("flip") or any(isinstance(step.get(key), list) and len(step[key]) > 1 for key in SCALE_KEYS)
        for step in _view_steps(dataset, required=False)
    )


def _view_steps(dataset: dict, required: bool = True) -> Iterator[dict]:
    for part in pipelines(dataset):
        steps = [step for step in part["pipeline"] if step["type"] == "MultiScaleFlipAug"]
        if required and not steps:
            raise UserError("`tta=True` needs a test pipeline with MultiScaleFlipAug, and the config's has none")
        yield from steps
