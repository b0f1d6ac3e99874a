"""The one check of a set of pictures, annotated or not."""

from collections import Counter
from pathlib import Path
from typing import Any

from ms2a.datasets.annotations import REPEATED
from ms2a.datasets.check.boxes import ask_about_corners, check_forms, mend_boxes, refuse_shares
from ms2a.datasets.check.cache import PictureCache, default_folder
from ms2a.datasets.check.depth import check_depth
from ms2a.datasets.check.files import check_copies, read_headers
from ms2a.datasets.check.flags import check_flags, check_ignored
from ms2a.datasets.check.names import merge_entries
from ms2a.datasets.check.network import check_limit, check_network_size, most_objects
from ms2a.datasets.check.result import CheckedSet
from ms2a.datasets.check.sizes import check_sizes
from ms2a.datasets.check.working import Options, Working
from ms2a.datasets.findings import Finding
from ms2a.datasets.image_folder import find_images


def check_set(
    coco: dict[str, Any],
    folder: str | Path | None,
    options: Options | None = None,
    name: str = "annotations",
    findings: list[Finding] | None = None,
) -> CheckedSet:
    """Checks annotated pictures and mends what can be mended.

    Pictures' headers are read, no pixels, except those of a few 16-bit pictures; what was read is remembered for as
    long as a file keeps its size and time.

    Args:
        coco: dictionary in COCO form, as from :func:`ms2a.datasets.annotations.read_coco`; mended in place.
        folder: where the pictures are; None: they are not looked at.
        options: what is known besides.
        name: what messages call the set.
        findings: what the reader of the annotations has noticed already.

    Returns:
        The mended set with all that was noticed. Nothing is refused here:
        :func:`ms2a.datasets.findings.refuse_errors` does.
    """
    data = Working(coco, None if folder is None else Path(folder), options or Options())
    for finding in findings or ():
        data.findings.add(**vars(finding))
    if repeated := coco.pop(REPEATED, 0):
        data.findings.note("entries that repeat another one word for word, counted once", count=repeated)
        data.changed = True
    with PictureCache(default_folder()) as cache:
        read_headers(data, cache)
        check_flags(data)
        check_forms(data)
        check_sizes(data)
        refuse_shares(data)
        ask_about_corners(data)
        merge_entries(data)
        mend_boxes(data)
        check_copies(data, cache)
        depth = _depth_of(data, cache)
    _check_content(data)
    check_network_size(data)
    check_limit(data)
    return _result(data, name, depth)


def check_folder(
    folder: str | Path,
    options: Options | None = None,
    name: str = "pictures",
    img_root: str | Path | None = None,
) -> CheckedSet:
    """Checks pictures without annotations.

    Args:
        folder: what :func:`ms2a.datasets.image_folder.find_images` takes.
        options: what is known besides.
        name: what messages call the set.
        img_root: see :func:`ms2a.datasets.image_folder.find_images`.

    Raises:
        UserError: there are no pictures.
    """
    found = find_images(folder, img_root)
    images = [{"id": number, "file_name": file_name} for number, (_, file_name) in enumerate(found, start=1)]
    data = Working({"images": images}, Path(found[0][0]), options or Options())
    with PictureCache(default_folder()) as cache:
        read_headers(data, cache)
        check_copies(data, cache)
        depth = _depth_of(data, cache)
    for image in images:
        if header := data.headers.get(image["id"]):
            image["width"], image["height"] = header.size_wh
    return _result(data, name, depth)


def _depth_of(data: Working, cache: PictureCache) -> int | None:
    by_id = {image["id"]: image for image in data.coco["images"]}
    pictures = [(data.path(by_id[key]), header) for key, header in data.headers.items() if key in by_id]
    return check_depth(pictures, data.options.bit_depth, data.findings, cache)


def _check_content(data: Working) -> None:
    """Refuses a set without a box, and warns of classes without one."""
    check_ignored(data)
    counts = data.boxes_by_class()
    missing = [name for name, count in counts.items() if not count]
    crowded = {data.names_by_id[item["category_id"]] for item in data.annotations_of_classes()}
    if len(missing) == len(counts) and not crowded:
        lost = f"{data.dropped} dropped" if data.dropped else "the file has none of these classes"
        what, remedy = "no box of any class", "check the classes, and that boxes are x, y, width, height in pixels"
        severity = "error" if data.options.needs_boxes else "warning"
        data.findings.add(severity, what, f"{', '.join(missing)}; {lost}", remedy)
    elif missing := [name for name in missing if name not in crowded]:
        data.findings.warn("classes without a box", ", ".join(missing), count=len(missing))


def _result(data: Working, name: str, bit_depth: int | None) -> CheckedSet:
    annotated = "annotations" in data.coco
    sizes = Counter(
        (image["width"], image["height"])
        for image in data.coco["images"]
        if data.folder is None or image["id"] in data.headers
    )
    crowd = sum(bool(item.get("iscrowd")) for item in data.annotations_of_classes()) if annotated else 0
    return CheckedSet(
        name=name,
        coco=data.coco,
        changed=data.changed,
        folder=data.folder,
        boxes=data.boxes_by_class() if annotated else {},
        crowd=crowd,
        dropped=data.dropped,
        clipped=data.clipped,
        merged=data.merged,
        missing=data.missing,
        copies=data.copies,
        sizes_wh=dict(sizes.most_common()),
        most_objects=most_objects(data) if annotated else 0,
        first_pixel=data.options.first_pixel,
        bit_depth=bit_depth,
        findings=tuple(data.findings),
    )
