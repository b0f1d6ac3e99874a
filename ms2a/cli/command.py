"""What the commands share: making a parser of a module, and options that several commands have."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from ms2a.defaults import ENGINES, LAUNCHERS, PRECISIONS
from ms2a.errors import DEBUG_OPTION, DEBUG_VARIABLE, one_line


class Parser(argparse.ArgumentParser):
    """argparse's, whose mistakes are one printable line of bounded length, whatever was typed."""

    def error(self, message: str) -> NoReturn:
        """As in argparse: usage, the line, status 2."""
        super().error(one_line(message))


def run_command(module_name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parses the arguments of a command and runs it.

    Args:
        module_name: full name of the command's module.
        argv: arguments of the command; None takes those of this process.
        prog: how ``--help`` calls the program; None: the name of the script.
    """
    module = import_module(module_name)
    parser = Parser(prog=prog, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    add_debug(parser)
    module.run(parser.parse_args(argv))


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--cfg-options``, for :func:`ms2a.config.load_config`."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=_KeyValues,
        metavar="KEY=VALUE",
        help="changes of the config, e.g. data_roots.city=/data/city runner.max_epochs=10; a list is key=a,b",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds ``--device``."""
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Adds ``--engine`` and ``--precision``."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what runs the detector (default: torch for weights, the fastest that is installed for .onnx files)",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="bfloat16: torch or openvino")


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Lets ``--help`` tell of ``--debug``, which :func:`ms2a.errors.run_main` takes out of the arguments."""
    parser.add_argument(DEBUG_OPTION, action="store_true", help=f"show a mistake's traceback, as {DEBUG_VARIABLE}=1")


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Adds ``--launcher``."""
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes were started")


class _KeyValues(argparse.Action):
    """mmcv's DictAction, imported late, with argparse's one line for a word that is no KEY=VALUE."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *args: Any) -> None:
        from mmcv import DictAction

        action = DictAction(self.option_strings, self.dest, nargs="+")
        try:
            action(parser, namespace, values, *args)
        except (ValueError, RecursionError, AssertionError):  # the last: mmcv, where brackets are not closed
            words = " ".join(values)
            parser.error(f"--cfg-options {words}: expected KEY=VALUE words with plain values and closed brackets")
