"""The command line: ``ms2a COMMAND ARGUMENT...``. Every command is one module of this package.

Such a module has a docstring, whose first line is what ``ms2a --help`` says of the command, and ``add_arguments``,
``run`` and ``main``. It imports what it runs inside ``run``, so that ``--help`` and mistakes in the options are quick.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from ms2a.cli.command import Parser, run_command
from ms2a.errors import run_main
from ms2a.version import __version__

# In the order of --help. The module of a command has its name, with _ for -.
COMMANDS = (
    "demo",
    "pipeline",
    "train",
    "test",
    "detect",
    "web",
    "extract",
    "cluster",
    "export",
    "compare-engines",
    "configs",
    "check",
    "split",
    "convert",
    "browse",
    "show-memory",
    "errors",
    "report",
    "render",
    "benchmark",
)


def main() -> None:
    """The console script ``ms2a``."""
    run_main(dispatch)


def dispatch(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the arguments name.

    Args:
        argv: the words behind ``ms2a``; None takes those of this process.
    """
    parser = Parser(
        prog="ms2a",
        usage="ms2a [-h] [--version] COMMAND ...",
        description="Cross-domain detection with few annotations. ms2a COMMAND --help tells a command's options.",
        epilog=_command_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ms2a {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="what to do, see below")
    words = sys.argv[1:] if argv is None else list(argv)
    # Words behind the command are its own, also those that begin with a dash.
    args = parser.parse_args(words[:1])
    run_command(_module_name(args.command), words[1:], prog=f"ms2a {args.command}")


def _module_name(command: str) -> str:
    return f"{__name__}.{command.replace('-', '_')}"


def _command_table() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        f"  {command:{width}}  {import_module(_module_name(command)).__doc__.splitlines()[0]}" for command in COMMANDS
    ]
    return "\n".join(["commands:", *lines])
