"""Converts Pascal VOC annotations to COCO: tools/dataset_converters/voc_to_coco.py XML_FOLDER IMG_FOLDER OUT_JSON."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.artefacts import provenance, write_json
from ms2a.datasets.voc import voc_to_coco
from ms2a.errors import UserError, run_main


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("xml", help="folder of XML files, one an image")
    parser.add_argument("images", help="folder of the images")
    parser.add_argument("out", help="COCO file to write")
    parser.add_argument("--classes", nargs="+", help="names to keep, in the order of the labels (default: all, sorted)")
    parser.add_argument("--list", help="text file of names without suffix, as in ImageSets/Main: take only these")
    return parser.parse_args(argv)


def listed(path: str) -> list[str]:
    """The names that a list of VOC selects; only the first word of a line counts."""
    if not Path(path).is_file():
        raise UserError(f"list {path} does not exist; check the path")
    return [line.split()[0] for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the COCO file."""
    args = parse_args(argv)
    names = listed(args.list) if args.list else None
    coco = voc_to_coco(args.xml, args.classes, args.images, names)
    write_json({**coco, "provenance": provenance(config=f"voc_to_coco of {Path(args.xml).name}")}, args.out)
    names = [category["name"] for category in coco["categories"]]
    print(f"wrote {args.out}: {len(coco['images'])} images, {len(coco['annotations'])} annotations, classes {names}")


if __name__ == "__main__":
    run_main(main)
