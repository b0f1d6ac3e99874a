"""Mistakes a user can make and mend, told in one line; what is skipped or assumed, told in a warning."""

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # what shells report for Ctrl-C
LONGEST_VALUE, LONGEST_LINE = 100, 480  # characters that a message shows
DEBUG_OPTION, DEBUG_VARIABLE = "--debug", "MS2A_DEBUG"

# An argument in a message, `name` or `name=value`.
_ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`")
# Arguments of the Python interface whose option on the command line has another name, or underscores.
_OPTIONS = {name: f"--{name}" for name in ("batch_size", "fea_root_path", "img_root", "n_clusters", "out_path")}
_POSITIONAL = ("config", "checkpoint", "save_dir")


class UserError(ValueError):
    """A mistake in what the user gave: the message names the value, what was expected and the remedy.

    Arguments of the Python interface stand between backticks, `` `name` `` or `` `name=value` ``; what
    :func:`run_main` prints has the option of the command line in their place.
    """


def shortened(value: Any) -> str:
    """A value as Python writes it, in one line of bounded length, for a message."""
    text = " ".join(_repr(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list of thousands of depths
        return f"a {type(value).__name__}"


def one_line(message: str) -> str:
    """A message as it is shown: one line of bounded length, whatever values it names."""
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(message.split()))
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 40]} … {line[-30:]}"


def warn(message: str) -> None:
    """Prints a warning on stderr, above a progress bar if there is one."""
    from tqdm import tqdm  # late: the runtime of exported files does without

    tqdm.write(f"warning: {one_line(message)}", file=sys.stderr)


def as_options(message: str) -> str:
    """Puts options of the command line in the place of a message's arguments: `` `batch_size=0` `` → --batch_size 0."""
    return _ARGUMENT.sub(lambda found: _as_option(found[1], found[2]), message)


def _as_option(name: str, value: str | None) -> str:
    if name in _POSITIONAL:
        option = name.upper()
    else:
        option = _OPTIONS.get(name) or f"--{name.replace('_', '-')}"
    return option if value in (None, "True") else f"{option} {value.strip(chr(39))}"


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

    ``--debug`` among the arguments, or ``MS2A_DEBUG=1``, shows the traceback as well, also in processes that this one
    starts.

    Args:
        main: function that takes the argument list, or None for ``sys.argv``.
    """
    if DEBUG_OPTION in sys.argv:
        sys.argv.remove(DEBUG_OPTION)
        os.environ[DEBUG_VARIABLE] = "1"
    try:
        main(None)
    except BaseException as error:
        line, status = _told(error)
        if line is None:
            raise
        if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
            _print_traceback(error)
        print(f"error: {line}", file=sys.stderr)
        sys.exit(status)


def _told(error: BaseException) -> tuple[str | None, int]:
    """The line and the exit status of a mistake; no line for a bug."""
    if isinstance(error, UserError):
        return one_line(as_options(str(error))), EXIT_USER_ERROR
    if isinstance(error, OSError):
        # A file or folder that cannot be made, written or read: the system's message names it.
        return one_line(str(error)), EXIT_USER_ERROR
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", EXIT_INTERRUPTED
    if isinstance(error, KeyError) and "registry" in str(error):
        # What mmcv's registries say to a type in a config that nobody registered; they have no error of their own.
        return one_line(f"{error.args[0]}: is a type in the config misspelt?"), EXIT_USER_ERROR
    return None, 1


def _print_traceback(error: BaseException) -> None:
    """Prints the traceback with the errors behind it, which messages for users leave out."""
    behind: BaseException | None = error
    while behind is not None:
        behind.__suppress_context__ = False
        behind = behind.__context__
    traceback.print_exception(error)
