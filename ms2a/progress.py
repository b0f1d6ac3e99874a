"""A bar on a terminal; elsewhere plain lines, few enough for a log."""

import sys
from typing import Any

from tqdm import tqdm

# Between two lines where the output is no terminal.
SECONDS_BETWEEN_LINES = 30


class _Lines:
    """A file that turns what tqdm redraws into lines of their own."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


class Progress(tqdm):
    """A bar on a terminal; elsewhere a plain line every half a minute, the first after that time.

    Args:
        *args: as for tqdm.
        **kwargs: as for tqdm, e.g. ``total``, ``desc``, ``unit``, ``initial``; ``delay=0`` has the first line at once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if sys.stderr.isatty():
            style = dict(dynamic_ncols=True)
        else:
            lines = dict(file=_Lines(), bar_format="{desc}: {n_fmt} of {total_fmt}{postfix}, {remaining} left")
            style = dict(delay=SECONDS_BETWEEN_LINES, mininterval=SECONDS_BETWEEN_LINES, miniters=1, **lines)
        super().__init__(*args, **{"smoothing": 0.1, **style, **kwargs})
