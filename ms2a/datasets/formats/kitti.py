"""KITTI 2D objects: one text file a picture; a line is a name, fourteen numbers and perhaps a score."""

from pathlib import Path

from ms2a.datasets.formats.builder import CocoBuilder
from ms2a.datasets.formats.files import annotation_files, read_lines, with_bar
from ms2a.errors import UserError

DONT_CARE = "DontCare"
COLUMNS = (15, 16)
"""Numbers of words in a line: without and with a score."""


def read_kitti(source: Path, builder: CocoBuilder) -> None:
    """Reads a folder of KITTI labels, to any depth, or one file.

    Columns five to eight are the box: left, top, right, bottom in pixels from 0. Width is right - left, as KITTI's own
    evaluation takes it. ``DontCare`` is a region to ignore for every class, unless the class map says otherwise.

    Args:
        source: the folder or file.
        builder: takes what is found.

    Raises:
        UserError: no label file, or a line that is not KITTI's.
    """
    paths = annotation_files(source, ".txt")
    if not paths:
        raise UserError(f"no KITTI label file in {source}; expected text files, one for each annotated image")
    for path in with_bar(paths):
        picture = builder.picture(None, path.stem, path, same_folders=True)
        for number, line in read_lines(path):
            words = line.split()
            try:
                if len(words) not in COLUMNS:
                    raise ValueError
                x1, y1, x2, y2 = map(float, words[4:8])
            except ValueError:
                raise UserError(
                    f"{path}, line {number}: {line!r} is no KITTI label: a name, 14 numbers, perhaps a score"
                ) from None
            if words[0] == DONT_CARE and DONT_CARE not in (builder.class_map or {}):
                builder.findings.note("DontCare regions, ignored for every class", path.name)
                builder.add_region(picture, (x1, y1, x2, y2))
            else:
                builder.add_box(picture, words[0], (x1, y1, x2, y2))
    builder.left_out_pictures("pictures without a label file left out")
