"""``ms2a test``, see ms2a/cli/test.py."""

from ms2a.cli.test import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
