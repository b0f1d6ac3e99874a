"""``ms2a export``, see ms2a/cli/export.py."""

from ms2a.cli.export import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
