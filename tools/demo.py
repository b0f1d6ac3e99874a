"""``ms2a web``, see ms2a/cli/web.py."""

from ms2a.cli.web import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
