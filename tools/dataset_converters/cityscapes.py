"""``ms2a convert cityscapes``, see ms2a/cli/cityscapes.py."""

from ms2a.cli.cityscapes import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
