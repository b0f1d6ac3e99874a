"""YOLO: one text file a picture; a line is a class number and a box, or a polygon, in fractions of the picture."""

from pathlib import Path

from ms2a.artefacts import read_yaml
from ms2a.datasets.boxes import box_of_points
from ms2a.datasets.formats.builder import CocoBuilder, Picture
from ms2a.datasets.formats.files import annotation_files, read_lines, with_bar
from ms2a.datasets.image_folder import IMAGE_SUFFIXES
from ms2a.errors import UserError

NAME_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt", "obj.names", "_darknet.labels")
"""Files that list the class names, the likeliest first."""

MAX_FRACTION = 2.0
"""Coordinates above this are pixels; a little above 1 happens at edges and is clipped."""


def read_yolo(source: Path, builder: CocoBuilder) -> None:
    """Reads a folder of YOLO labels for the pictures of the builder's image folder.

    A picture without a label file, or with an empty one, has no object: YOLO knows no other way to say so.

    Args:
        source: folder that holds the labels, to any depth, or its ``data.yaml``.
        builder: takes what is found.

    Raises:
        UserError: no label file for any picture, a malformed line, a class number without a name, pixels for fractions.
    """
    folder = source.parent if source.is_file() else source
    names, has_keypoints = _names(source, builder)
    builder.declared = list(names.values())
    labels, found = _Labels(folder, builder), {}
    for name in with_bar(builder.pictures.names):
        path = labels.of(name)
        picture = builder.picture(name, "", path or folder)
        if path is None:
            builder.findings.note("pictures without a label file, taken for empty", name)
            continue
        if path in found:
            builder.findings.warn("pictures that share a label file with another", f"{name} and {found[path]}: {path}")
        found[path] = name
        for number, line in read_lines(path):
            words = line.split()
            if has_keypoints and len(words) > 5:
                builder.findings.note("keypoints behind boxes passed over", f"{path}, line {number}")
                words = words[:5]
            _read_line(words, f"{path}, line {number}", picture, names, builder)
    if not found:
        raise UserError(f"no label file below {folder} for any picture in {builder.pictures.folder}; check both paths")
    if unused := sorted(path for path in labels.by_key.values() if path not in found):
        builder.findings.note(
            "label files of pictures that are not in the image folder", unused[0].name, count=len(unused)
        )


def lists_names(path: Path) -> bool:
    """Whether a YAML file is one that lists YOLO's class names."""
    try:
        content = read_yaml(path, "list of classes")
    except (OSError, UserError):
        return False
    return isinstance(content, dict) and "names" in content


def _read_line(words: list[str], where: str, picture: Picture, names: dict[int, str], builder: CocoBuilder) -> None:
    try:
        number, *values = map(float, words)
        if not number.is_integer():
            raise ValueError
    except ValueError:
        raise UserError(f"{where}: {' '.join(words)!r} is not a class number and coordinates") from None
    if len(values) == 5:  # detectors write a score behind the box
        builder.findings.note("sixth numbers of lines, as of a score, passed over", where)
        values.pop()
    if len(values) < 4 or len(values) % 2:
        raise UserError(f"{where}: {len(values)} coordinates, expected 4 of a box or pairs of a polygon")
    if wrong := [value for value in values if not abs(value) <= MAX_FRACTION]:
        raise UserError(f"{where}: coordinate {wrong[0]} is no fraction of the picture; YOLO needs 0 to 1")
    if number not in names:
        raise UserError(f"{where}: class number {number:g} has no name; known: {names}")
    shape = ""
    if len(values) == 4:
        x, y, w, h = values
        box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    else:
        box, shape = box_of_points(list(zip(values[::2], values[1::2], strict=True))), "polygons"
    # What is left of a fraction written with six digits is not a corner outside the picture.
    x1, y1, x2, y2 = (
        round(value * side, 3) for value, side in zip(box, (picture.width, picture.height) * 2, strict=True)
    )
    builder.add_box(picture, names[number], (x1, y1, x2, y2), shape=shape)


def _names(source: Path, builder: CocoBuilder) -> tuple[dict[int, str], bool]:
    """Class names by number, and whether keypoints follow the boxes."""
    folder = source.parent if source.is_file() else source
    candidates = (
        [source]
        if source.is_file()
        else [
            place / name
            for place in (folder, folder.parent, *sorted(p for p in folder.iterdir() if p.is_dir()))
            for name in NAME_FILES
        ]
    )
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        if builder.classes is None:
            raise UserError(f"no list of class names ({', '.join(NAME_FILES)}) in {folder}; name the classes")
        builder.findings.warn("class numbers taken for the order of the classes given", f"no data.yaml in {folder}")
        return dict(enumerate(builder.classes)), False
    if path.suffix in (".yaml", ".yml"):
        return _names_of_yaml(path)
    return dict(enumerate(line for _, line in read_lines(path))), False


def _names_of_yaml(path: Path) -> tuple[dict[int, str], bool]:
    content = read_yaml(path, "list of classes")
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(str(number).isdecimal() for number in names):
        raise UserError(f"'names' in {path} is {names!r}, expected class names by number")
    names = {int(number): str(name) for number, name in sorted(names.items(), key=lambda item: int(item[0]))}
    return names, "kpt_shape" in content


class _Labels:
    """Label files below a folder, found by the paths of the pictures."""

    def __init__(self, folder: Path, builder: CocoBuilder) -> None:
        files = [path for path in annotation_files(folder, ".txt") if path.name not in NAME_FILES]
        first_of = {path.parent: path for path in reversed(files)}
        files = [path for path in files if not _lists_pictures(first_of[path.parent])]
        self.by_key = {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}
        self._builder = builder
        self._images = builder.pictures.folder.resolve()
        # Labels of several folders may be of parts of the data, with the same names in each.
        self._by_stem = {path.stem: path for path in files} if len({path.parent for path in files}) == 1 else {}

    def of(self, name: str) -> Path | None:
        """The file whose path agrees with the picture's in most folders from the end on, with labels for images."""
        picture = (self._images / name).with_suffix("")
        parts = ["labels" if part == "images" else part for part in picture.parts]
        for start in range(len(parts)):
            if path := self.by_key.get("/".join(parts[start:])):
                return path
        path = self._by_stem.get(picture.name)
        if path:
            self._builder.findings.note("label files found by the picture's name alone", f"{name}: {path}")
        return path


def _lists_pictures(path: Path) -> bool:
    """Whether a text file is one of darknet's lists of pictures."""
    lines = read_lines(path)
    return bool(lines) and lines[0][1].lower().endswith(IMAGE_SUFFIXES)
