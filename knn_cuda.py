"""``ms2a cluster``, see ms2a/cli/cluster.py."""

from ms2a.cli.cluster import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
