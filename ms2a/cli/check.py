"""Checks a task's data, or annotation files and folders of pictures, and shows what the detector will be trained on.

TASK_OR_FILES: a task file (.yaml), or annotations in any known format with --images, or a folder of pictures. Prints
one line a set and one a finding, and writes data_report.json and a sheet of pictures with their boxes for each set.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("data", nargs="+", metavar="TASK_OR_FILES", help="what to check")
    parser.add_argument("--images", help="image folder of the annotations; default: 'images' beside them, or their own")
    parser.add_argument("--classes", nargs="+", help="names of the classes; default: all that are annotated")
    parser.add_argument("--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="what the network sees")
    parser.add_argument("--bit-depth", type=int, help="significant bits of 16-bit pictures")
    parser.add_argument("--format", help="format of the annotations; default: found by content")
    parser.add_argument("--first-pixel", type=int, choices=(0, 1), help="VOC: what the first pixel is called")
    parser.add_argument("--boxes-of", choices=("stored", "upright"), help="of pictures with a rotation tag")
    parser.add_argument("--box-form", choices=("corners", "sizes"), help="of COCO boxes that may be corners")
    parser.add_argument("--out", type=Path, help="folder of report and sheets; default: work_dirs/<name>/data")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")


def run(args: argparse.Namespace) -> None:
    """Checks, prints and writes."""
    from ms2a.config import size_options
    from ms2a.datasets.check.report import DataReport
    from ms2a.datasets.check.sets import Options
    from ms2a.datasets.load_picture import check_bit_depth
    from ms2a.pipeline.data import check_files, show
    from ms2a.pipeline.task import read_task, report_of

    first, bit_depth = Path(args.data[0]), check_bit_depth(args.bit_depth)
    name = first.stem
    if args.image_size:
        size_options(args.image_size, "of the command line")
    if len(args.data) == 1 and first.suffix in (".yaml", ".yml"):
        task = read_task(first)
        report, bit_depth, name = report_of(task), task.bit_depth, task.name
    else:
        options = Options(
            classes=args.classes,
            image_size_hw=args.image_size and tuple(args.image_size),
            bit_depth=bit_depth,
            boxes_of=args.boxes_of,
            box_form=args.box_form,
            folder_option="--images",
        )
        sets = [check_files(path, args.images, options, args.format, args.first_pixel) for path in args.data]
        report = DataReport(sets)
    show(report, args.out or Path("work_dirs", name, "data"), bit_depth)
    report.refuse(args.strict)


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
