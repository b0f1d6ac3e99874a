"""Checks the data of a task or config, or annotations and pictures, and shows what the detector will be trained on.

DATA: a task file (.yaml), or a config (.py), or annotations in any known format with --images, or folders of pictures.
Prints one line a set and one a finding, and writes data_report.json and a sheet of pictures with their boxes for each
set. Several annotations or folders may be given.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ms2a.cli.coco_file import add_answers, add_map, answers, read_map
from ms2a.cli.command import add_cfg_options, run_command
from ms2a.errors import UserError

if TYPE_CHECKING:
    from ms2a.datasets.check.report import DataReport

ABOUT_FILES = ("images", "classes", "image_size", "format", "first_pixel", "list", "map")
ABOUT_FILES += ("boxes_of", "box_form", "bit_depth")
"""Options that say what a task or config says itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("data", nargs="+", metavar="DATA", help="what to check")
    parser.add_argument("--images", help="image folder of the annotations; default: 'images' beside them, or their own")
    parser.add_argument("--classes", nargs="+", help="names of the classes; default: all that are annotated")
    parser.add_argument("--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="what the network sees")
    parser.add_argument("--format", help="format of the annotations; default: found by content")
    parser.add_argument("--first-pixel", type=int, choices=(0, 1), help="VOC: what the first pixel is called")
    parser.add_argument("--list", help="VOC: text file of names, as in ImageSets/Main: take only these")
    add_map(parser)
    add_answers(parser)
    add_cfg_options(parser)
    parser.add_argument("--out", type=Path, help="folder of report and sheets; default: work_dirs/<name>/data")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")


def run(args: argparse.Namespace) -> None:
    """Checks, prints and writes."""
    from ms2a.pipeline.data import show

    described = [path for path in map(Path, args.data) if _describes_data(path)]
    if described and len(args.data) > 1:
        raise UserError(f"{described[0]} says itself what its data are; check it alone")
    if described:
        given = [f"--{name.replace('_', '-')}" for name in ABOUT_FILES if getattr(args, name) not in (None, [])]
        if given:
            raise UserError(
                f"{', '.join(given)}: {described[0]} says that itself; change it there, or by --cfg-options"
            )
        report, bit_depth, name = _of_description(described[0], args.cfg_options)
    else:
        report, bit_depth, name = _of_files(args), args.bit_depth, Path(args.data[0]).stem
    show(report, args.out or Path("work_dirs", name, "data"), bit_depth)
    report.refuse(args.strict)


def _describes_data(path: Path) -> bool:
    """Whether a file is a task or a config. A YAML file may also be YOLO's list of class names."""
    from ms2a.datasets.formats.yolo import lists_names
    from ms2a.pipeline.task import TASK_SUFFIXES

    return path.suffix == ".py" or (path.suffix in TASK_SUFFIXES and not lists_names(path))


def _of_description(path: Path, cfg_options: dict | None) -> "tuple[DataReport, int | None, str]":
    """The report, the pictures' bit depth and the name of a task or config."""
    from ms2a.config import load_config
    from ms2a.pipeline.config_data import check_config
    from ms2a.pipeline.task import read_task, report_of

    if path.suffix == ".py":
        config = load_config(path, cfg_options)
        return check_config(config), config.get("bit_depth"), path.stem
    task = read_task(path)
    return report_of(task, cfg_options), (cfg_options or {}).get("bit_depth", task.bit_depth), task.name


def _of_files(args: argparse.Namespace) -> "DataReport":
    from ms2a.config import size_options
    from ms2a.datasets.check.report import DataReport
    from ms2a.datasets.check.sets import Options
    from ms2a.datasets.formats.voc import read_list
    from ms2a.pipeline.data import check_files

    if args.cfg_options:
        raise UserError("--cfg-options are for a config or a task; annotations have options of their own, see --help")
    if args.image_size:
        size_options(args.image_size, "of the command line")
    size_hw = args.image_size and tuple(args.image_size)
    options = Options(classes=args.classes, image_size_hw=size_hw, folder_option="--images", **answers(args))
    listed = read_list(args.list) if args.list else None
    how = (args.images, options, args.format, args.first_pixel, read_map(args.map), listed)
    return DataReport([check_files(path, *how) for path in args.data])


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
