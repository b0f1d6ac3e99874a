"""``ms2a benchmark``, see ms2a/cli/benchmark.py."""

from ms2a.cli.benchmark import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
