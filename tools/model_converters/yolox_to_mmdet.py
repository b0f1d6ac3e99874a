"""``ms2a convert yolox``, see ms2a/cli/yolox.py."""

from ms2a.cli.yolox import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
