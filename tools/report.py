"""``ms2a report``, see ms2a/cli/report.py."""

from ms2a.cli.report import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
