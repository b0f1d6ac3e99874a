"""``ms2a split``, see ms2a/cli/split.py."""

from ms2a.cli.split import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
