"""``ms2a show-memory``, see ms2a/cli/show_memory.py."""

from ms2a.cli.show_memory import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
