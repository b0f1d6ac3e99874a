"""``ms2a pipeline``, see ms2a/cli/pipeline.py."""

from ms2a.cli.pipeline import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
