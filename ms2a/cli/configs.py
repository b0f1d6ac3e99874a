"""Lists the configs that come with the package, or copies them."""

import argparse
import ast
import shutil
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import run_command
from ms2a.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="list only configs with all these words in their path")
    parser.add_argument("--copy", metavar="DIR", type=Path, help="copy all configs to this new folder, to change them")


def run(args: argparse.Namespace) -> None:
    """Lists or copies."""
    from ms2a.config import CONFIGS

    if args.copy:
        if args.copy.exists():
            raise UserError(f"--copy {args.copy} exists; name a new folder")
        shutil.copytree(CONFIGS, args.copy, ignore=shutil.ignore_patterns("__pycache__"))
        print(f"wrote {args.copy}: {len(list(args.copy.rglob('*.py')))} configs, bases included")
        return
    paths = [path.relative_to(CONFIGS) for path in sorted(CONFIGS.rglob("*.py")) if path.parent.name != "__pycache__"]
    leaves = [path for path in paths if path.parts[0] != "_base_"]
    chosen = [path for path in leaves if all(word.lower() in str(path).lower() for word in args.words)]
    if not chosen:
        raise UserError(f"none of the {len(leaves)} configs in {CONFIGS} has {' and '.join(args.words)} in its path")
    print(f"in {CONFIGS}:")
    for path in chosen:
        described = ast.get_docstring(ast.parse((CONFIGS / path).read_text(encoding="utf-8"))) or ""
        print(f"  {path}  {' '.join(described.split())}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
