"""``ms2a detect``, see ms2a/cli/detect.py."""

from ms2a.cli.detect import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
