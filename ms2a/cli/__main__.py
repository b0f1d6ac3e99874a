"""``python -m ms2a.cli`` is the console script ``ms2a``."""

from ms2a.cli import main

main()
