"""``ms2a train``, see ms2a/cli/train.py."""

from ms2a.cli.train import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
