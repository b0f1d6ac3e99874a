"""``ms2a browse``, see ms2a/cli/browse.py."""

from ms2a.cli.browse import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
