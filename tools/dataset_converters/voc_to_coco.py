"""``ms2a convert voc_to_coco``, see ms2a/cli/voc_to_coco.py."""

from ms2a.cli.voc_to_coco import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
