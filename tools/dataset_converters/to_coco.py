"""``ms2a convert to_coco``, see ms2a/cli/to_coco.py."""

from ms2a.cli.to_coco import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
