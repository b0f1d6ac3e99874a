"""``ms2a extract``, see ms2a/cli/extract.py."""

from ms2a.cli.extract import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
