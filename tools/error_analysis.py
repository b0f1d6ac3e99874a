"""``ms2a errors``, see ms2a/cli/errors.py."""

from ms2a.cli.errors import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
