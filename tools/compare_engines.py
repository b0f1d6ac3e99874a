"""``ms2a compare-engines``, see ms2a/cli/compare_engines.py."""

from ms2a.cli.compare_engines import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
