#!/usr/bin/env python
"""``ms2a render``, see ms2a/cli/render.py."""

from ms2a.cli.render import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
