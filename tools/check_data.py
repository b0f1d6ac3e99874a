"""``ms2a check``, see ms2a/cli/check.py."""

from ms2a.cli.check import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
