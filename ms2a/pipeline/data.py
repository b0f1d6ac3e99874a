"""The data of an adaptation, checked before any training, and its annotations as COCO files."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ms2a.analysis.contact_sheet import write_contact_sheet
from ms2a.artefacts import provenance, read_json, write_json
from ms2a.config import size_options
from ms2a.datasets.annotations import order_categories
from ms2a.datasets.check.between import check_overlap, overlap_severities
from ms2a.datasets.check.network import limit_for
from ms2a.datasets.check.report import DataReport
from ms2a.datasets.check.sets import CheckedSet, Options, check_folder, check_set
from ms2a.datasets.fewshot import nested_splits
from ms2a.datasets.findings import Findings
from ms2a.datasets.formats import read_annotations
from ms2a.datasets.formats.detect import holds_annotations
from ms2a.datasets.formats.voc import read_list
from ms2a.errors import UserError

if TYPE_CHECKING:
    from ms2a.pipeline.task import ImageSet, Task

SOURCE_TRAIN, TARGET_TRAIN, TARGET_TEST, SOURCE_VAL = "source_train", "target_train", "target_test", "source_val"
UNLABELLED, TARGET_POOL = "unlabelled pictures", "target_pool"


def entries_of(task: "Task") -> dict[str, "ImageSet"]:
    """The annotated sets of a task, by what configs call them."""
    entries = {SOURCE_TRAIN: task.source.train, TARGET_TRAIN: task.target.train, TARGET_TEST: task.target.test}
    return entries | ({SOURCE_VAL: task.source.val} if task.source.val else {})


def check_task(task: "Task", cfg_options: Mapping[str, Any] | None = None) -> DataReport:
    """Checks all data of a task.

    Args:
        task: whose data.
        cfg_options: config options that come after what the task says; ``image_size``, ``bit_depth`` and
            ``max_per_img`` are used.

    Returns:
        What the check says of the annotated sets, then of the unlabelled pictures. Nothing is refused here.

    Raises:
        UserError: annotations that cannot be read, or no unlabelled picture.
    """
    given = dict(image_size=task.image_size, bit_depth=task.bit_depth) | dict(cfg_options or {})
    size_options(given["image_size"], "of the task")
    common = Options(
        classes=task.classes,
        image_size_hw=tuple(given["image_size"]),
        bit_depth=given["bit_depth"],
        max_per_img=given.get("max_per_img"),
    )
    checked = [_check_entry(key, entry, common) for key, entry in entries_of(task).items()]
    report = _report([*checked, check_folder(task.target.unlabelled, common, UNLABELLED)])
    findings = Findings()
    if not given.get("max_per_img") and (limit := options_of(report).get("max_per_img")):
        what = f"max_per_img={limit} detections of a picture are kept, by the most objects in one"
        findings.note(what, count=max(found.most_objects for found in checked))
    if count := task.target.num_annotated:
        target = next(found for found in checked if found.name == name_of(TARGET_TRAIN))
        try:
            nested_splits(target.coco, [count], seed=0, classes=task.classes)
        except UserError as error:
            findings.add("error", "'num_annotated' of the target", remedy=str(error), count=count)
    return replace(report, findings=[*report.findings, *findings])


def prepare_files(task: "Task", report: DataReport, folder: Path, seed: int = 0) -> dict[str, Path]:
    """Writes annotations that are no plain COCO file, that had to be mended, or that are drawn, as COCO files.

    Args:
        task: whose data.
        report: from :func:`check_task`.
        folder: where files are written; a file of the same content is left alone.
        seed: of the draw of annotated images.

    Returns:
        The COCO file of each set of :func:`entries_of`; where images are drawn, that of all of them as ``target_pool``.

    Raises:
        UserError: there are fewer annotated images than the task wants drawn.
    """
    checked = dict(zip(entries_of(task), report.sets, strict=False))
    files = {key: _as_file(entry, checked[key], folder / f"{key}.json") for key, entry in entries_of(task).items()}
    if count := task.target.num_annotated:
        split = nested_splits(checked[TARGET_TRAIN].coco, [count], seed, task.classes)[count]
        made_by = provenance(config=f"{count} of {TARGET_TRAIN}", seed=seed)
        files[TARGET_POOL] = files[TARGET_TRAIN]
        files[TARGET_TRAIN] = write_coco(split, made_by, folder / f"{TARGET_TRAIN}_seed{seed}_{count}.json")
    return files


def name_of(key: str) -> str:
    """What messages call a set."""
    return key.replace("_", " ")


def _check_entry(key: str, entry: "ImageSet", common: Options) -> CheckedSet:
    listed = read_list(entry.list) if entry.list else None
    annotations = read_annotations(
        entry.annotations, entry.images, common.classes, entry.format, entry.first_pixel, entry.class_map, listed
    )
    order_categories(annotations.coco, common.classes, entry.annotations)
    options = replace(
        common,
        is_test=key in (TARGET_TEST, SOURCE_VAL),
        boxes_of=entry.boxes_of,
        box_form=entry.box_form,
        folder_option=f"'images' of {name_of(key)}",
        first_pixel=annotations.first_pixel,
    )
    return check_set(annotations.coco, entry.images, options, name_of(key), annotations.findings)


def _report(sets: Sequence[CheckedSet]) -> DataReport:
    names = [checked.name for checked in sets]
    tests, trains = [name_of(TARGET_TEST)], [name_of(SOURCE_TRAIN), name_of(TARGET_TRAIN)]
    severities = overlap_severities(tests, trains, [UNLABELLED])
    severities |= dict.fromkeys([(name_of(SOURCE_VAL), train) for train in trains], "warning")
    known = {pair: severity for pair, severity in severities.items() if set(pair) <= set(names)}
    return DataReport(sets, check_overlap(sets, known))


def _as_file(entry: "ImageSet", checked: CheckedSet, path: Path) -> Path:
    """The user's own COCO file where the check left it alone, else one of the mended annotations."""
    if entry.annotations.suffix.lower() == ".json" and not checked.changed and entry.class_map is None:
        if read_json(entry.annotations, "annotation file").keys() >= {"images", "annotations", "categories"}:
            return entry.annotations
    made_by = provenance(config=f"{entry.annotations.name}, checked")
    return write_coco(checked.coco, made_by, path)


def write_coco(coco: dict[str, Any], made_by: dict[str, Any], path: Path) -> Path:
    """Writes a COCO file with its provenance and returns its whole path.

    Leaves a file of the same content alone, whichever version made it: a changed one would redo the training.
    """
    if not path.exists() or {**coco, "provenance": None} != {**read_json(path, "annotation file"), "provenance": None}:
        write_json({**coco, "provenance": made_by}, path)
    return path.resolve()


def check_files(
    path: str | Path,
    images: str | Path | None,
    options: Options,
    format: str | None = None,
    first_pixel: int | None = None,
    class_map: Mapping[str, str] | None = None,
    listed: Sequence[str] | None = None,
) -> CheckedSet:
    """Checks annotations of any format, or a folder that holds nothing but pictures.

    Args:
        path: the annotations, or the folder.
        images: image folder; None: ``images`` beside the annotations, else the folder that they are in.
        options: what is known besides.
        format: see :func:`ms2a.datasets.formats.read_annotations`.
        first_pixel: see there.
        class_map: see there.
        listed: see there.

    Raises:
        UserError: there are neither annotations nor pictures, or the annotations cannot be read.
    """
    path = Path(path)
    if path.is_dir() and format is None and images is None and not holds_annotations(path):
        return check_folder(path, options, str(path))
    folder = path if path.is_dir() else path.parent
    if images is None:
        images = next((place for place in (folder / "images", folder.parent / "images") if place.is_dir()), folder)
    read = read_annotations(path, images, options.classes, format, first_pixel, class_map, listed)
    if options.classes is not None:
        order_categories(read.coco, options.classes, path)
    return check_set(read.coco, images, replace(options, first_pixel=read.first_pixel), str(path), read.findings)


def show(report: DataReport, folder: Path, bit_depth: int | None = None, say: Callable[..., None] = print) -> None:
    """Tells the report line by line, writes ``data_report.json``, and a sheet of pictures for each set.

    Sheets of data that have not changed are left alone.
    """
    for line in report.lines():
        say(line)
    changed = report.write(folder)
    for checked in report.sets:
        path = folder / sheet_name(checked.name)
        if changed or not path.exists():
            if damaged := write_contact_sheet(checked, path, bit_depth):
                what = f"pictures that the sheet should show and that cannot be decoded: {len(damaged)} ({damaged[0]})"
                say(f"warning: {checked.name}: {what}; they may be damaged, and others as well")
    say(f"data_report.json and a sheet of pictures for each set: {folder}")


def sheet_name(set_name: str) -> str:
    """The file of a set's sheet of pictures."""
    return f"data_{re.sub(r'[^A-Za-z0-9]+', '_', set_name).strip('_')}.jpg"


def options_of(report: DataReport) -> dict[str, Any]:
    """The config options that follow from the data: how many detections of a picture are kept."""
    most = max(checked.most_objects for checked in report.sets)
    return {} if limit_for(most) == limit_for(0) else {"max_per_img": limit_for(most)}
