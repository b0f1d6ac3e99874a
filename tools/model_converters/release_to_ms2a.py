"""``ms2a convert release``, see ms2a/cli/release.py."""

from ms2a.cli.release import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
