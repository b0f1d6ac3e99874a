"""Draws nested few-annotation splits of a COCO file: ANN_JSON --counts 10 30 50 --seed S --out DIR."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ms2a.cli.coco_file import add_answers, answers, checked_coco
from ms2a.cli.command import run_command
from ms2a.errors import seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("annotations", help="COCO file of the annotated images to draw from")
    parser.add_argument("--images", help="image folder: the check looks at the pictures too (default: it does not)")
    parser.add_argument("--counts", type=int, nargs="+", required=True, help="numbers of annotated images, e.g. 10 30")
    parser.add_argument("--classes", nargs="+", help="whose boxes make an image an annotated one; default: all classes")
    parser.add_argument("--seed", type=seed, default=0, help="another seed draws other images (default: 0)")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--name", help="files are NAME_<count>.json; default: <file>_seed<seed>")
    add_answers(parser)


def run(args: argparse.Namespace) -> None:
    """Writes one COCO file a count."""
    from ms2a.artefacts import provenance, write_json
    from ms2a.datasets.annotations import order_categories, read_coco
    from ms2a.datasets.fewshot import nested_splits

    coco = read_coco(args.annotations)
    classes = args.classes or [category["name"] for category in coco["categories"]]
    order_categories(coco, classes, args.annotations)  # refuses names that the file does not have
    options = dict(classes=classes, folder_option="--images")
    coco = checked_coco(coco, args.images, (), args.annotations, **options, **answers(args))
    splits = nested_splits(coco, args.counts, args.seed, classes)
    name = args.name or f"{Path(args.annotations).stem}_seed{args.seed}"
    made_by = provenance(config=f"make_fewshot_split of {Path(args.annotations).name}", seed=args.seed)
    for count, split in splits.items():
        path = Path(args.out) / f"{name}_{count}.json"
        write_json({**split, "provenance": made_by}, path)
        print(f"wrote {path}: {_describe(split, classes)}")


def _describe(split: dict[str, Any], classes: Sequence[str]) -> str:
    """Counts of a split and which of the classes it lacks."""
    ids = {category["name"]: category["id"] for category in split["categories"]}
    seen = {annotation["category_id"] for annotation in split["annotations"]}
    lacking = [name for name in classes if ids[name] not in seen]
    text = f"{len(split['images'])} images, {len(split['annotations'])} annotations"
    return text + (f"; no annotation of {', '.join(lacking)}" if lacking else ", every class")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
