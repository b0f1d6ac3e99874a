"""``ms2a convert sim10k``, see ms2a/cli/sim10k.py."""

from ms2a.cli.sim10k import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
