"""Mistakes a user can make and mend, told in one line."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # what shells report for Ctrl-C


class UserError(Exception):
    """A mistake in what the user gave: the message names the value, what was expected and the remedy."""


def seed(text: str) -> int:
    """A seed, as the ``type`` of a command line's option.

    Raises:
        ArgumentTypeError: it is no whole number from 0 to 2³² - 1, which is what NumPy takes.
    """
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to {2**32 - 1}")
    return int(text)


def run_main(main: Callable[[Sequence[str] | None], None]) -> None:
    """Runs a command line's ``main``; a mistake becomes one line on stderr and exit status 2, Ctrl-C one and 130.

    Args:
        main: function that takes the argument list, or None for ``sys.argv``.
    """
    try:
        main(None)
    except UserError as error:
        _leave(str(error))
    except OSError as error:
        # A file or folder that cannot be made, written or read: the system's message names it.
        _leave(str(error))
    except KeyboardInterrupt:
        _leave("interrupted", EXIT_INTERRUPTED)
    except KeyError as error:
        # What mmcv's registries say to a type in a config that nobody registered; they have no error of their own.
        if "registry" not in str(error):
            raise
        _leave(f"{error.args[0]}: is a type in the config misspelt?")


def _leave(message: str, status: int = EXIT_USER_ERROR) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
