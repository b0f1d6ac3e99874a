"""The data that a config names, checked before any training."""

from dataclasses import replace
from typing import Any

from mmcv import Config

from ms2a.datasets.annotations import order_categories, read_coco
from ms2a.datasets.check.between import check_memory_pictures, check_overlap, overlap_severities
from ms2a.datasets.check.report import DataReport
from ms2a.datasets.check.sets import CheckedSet, Options, check_folder, check_set
from ms2a.datasets.domain_coco import DomainCocoDataset
from ms2a.errors import UserError
from ms2a.pipeline.data import UNLABELLED
from ms2a.pipeline.stages import BASE, SOURCE_TRAINING, TARGET_TRAINING, Adaptation, annotated_sets, set_paths

TRAIN, TEST, VAL = "train", "test", "val"


def check_config(config: Config) -> DataReport:
    """Checks the annotated sets of a config's ``data``, and the target's pictures that its memory is made of, if any.

    A set that stands in several places, as the test set that is validated on, is checked once.

    Raises:
        UserError: an annotation file cannot be read, or the config names none.
    """
    target = config.get("target_domain")
    checked: list[CheckedSet] = []
    parts: dict[str, list[str]] = {TRAIN: [], TEST: [], VAL: []}
    strict_tests, seen = [], set()
    for part in parts:
        for item in annotated_sets(config.data.get(part) or {}):
            paths = set_paths(item)
            if (key := (paths, part == TRAIN)) in seen:
                continue
            seen.add(key)
            name = " ".join(filter(None, (item.get("domain"), part)))
            name += f" {parts[part].count(name) + 1}" if name in parts[part] else ""
            parts[part].append(name)
            strict_tests += [name] if part == TEST and target in (None, item.get("domain")) else []
            checked.append(_check_item(item, name, config, part != TRAIN))
    if not checked:
        raise UserError(f"config {config.filename} names no annotation file in its 'data'")
    images = (config.get("memory_images") or {}).get(target)
    if images:
        options = Options(bit_depth=config.get("bit_depth"))
        checked.append(check_folder(images["img"], options, UNLABELLED, images.get("img_root")))
    severities = overlap_severities(strict_tests, parts[TRAIN], [UNLABELLED] if images else [])
    others = [name for name in (*parts[TEST], *parts[VAL]) if name not in strict_tests]
    severities |= {(test, train): "warning" for test in others for train in parts[TRAIN]}
    return DataReport(checked, check_overlap(checked, severities))


def _check_item(item: dict[str, Any], name: str, config: Config, is_test: bool) -> CheckedSet:
    paths = set_paths(item)
    coco = read_coco(paths.ann_file)
    classes = None if item.get("classes") is None else DomainCocoDataset.get_classes(item["classes"])
    if classes is not None:
        order_categories(coco, classes, paths.ann_file)
    options = Options(
        classes=classes,
        image_size_hw=config.get("img_scale"),
        max_per_img=(config.model.get("test_cfg") or {}).get("max_per_img"),
        bit_depth=config.get("bit_depth"),
        is_test=is_test,
        boxes_of=item.get("boxes_of"),
        box_form=item.get("box_form"),
    )
    return check_set(coco, paths.folder, options, name)


def check_adaptation(adaptation: Adaptation) -> DataReport:
    """Checks the data that the configs of an adaptation name."""
    return check_memory(adaptation, check_config(adaptation.configs[TARGET_TRAINING]))


def check_memory(adaptation: Adaptation, report: DataReport) -> DataReport:
    """The report, with what it means for Stage I that there are so many unlabelled pictures."""
    config = adaptation.configs[SOURCE_TRAINING]
    findings = check_memory_pictures(
        report.sets[-1],
        adaptation.configs[BASE].model.neck.out_channels,
        config.model.adapter.memory.num_prototypes if config.model.get("adapter") else 0,
        config.num_colours if config.get("colour_prob") else None,
    )
    return replace(report, findings=[*report.findings, *findings])
