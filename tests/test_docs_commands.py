"""Every command line in README and docs is understood by the command it names."""

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from ms2a.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ELIDED = {"…", "...", "[…]"}
SHELL_ONLY = re.compile(r"[<>|;&]")


def command_lines(page: Path) -> list[tuple[bool, list[str]]]:
    """For each line, in code blocks and code spans, that starts a command: whether it is complete, and its words."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.S | re.M)
    prose = re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.S | re.M)
    lines = [(True, line) for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    # A code span may name just the options that the sentence is about.
    lines += [(False, " ".join(span.split())) for span in re.findall(r"`([^`]+)`", prose, re.S)]
    found = []
    for complete, line in lines:
        if SHELL_ONLY.search(line.split("#")[0]) or "<<" in line or "[" in line:
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe in a sentence that is no command
            continue
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            words = words[1:]
        if words[:1] == ["python"] and words[1:2] != ["-m"] and words[1:]:
            words = words[1:]
        if len(words) > 1 and (words[0] == "ms2a" or re.fullmatch(r"(\./)?(tools/)?[\w/]+\.(py|sh)", words[0])):
            found.append((complete and not ELIDED & set(words), words))
    return found


CASES = [(page.name, *line) for page in PAGES for line in command_lines(page)]


def parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]] | None:
    """The parser of the command and the words that it gets; None for scripts with options of their own."""
    head, rest = words[0].removeprefix("./"), words[1:]
    if head == "ms2a":
        assert rest[0] in COMMANDS or rest[0].startswith("-"), rest[0]
        if rest[0].startswith("-"):
            return None
        module, rest = import_module(f"ms2a.cli.{rest[0].replace('-', '_')}"), rest[1:]
    elif head.endswith(".sh"):
        script = {"tools/dist_train.sh": "train", "tools/dist_test.sh": "test", "tools/dist_extract.sh": "extract"}
        if head not in script:
            return None
        module = import_module(f"ms2a.cli.{script[head]}")
        rest = rest[1:] if head == "tools/dist_extract.sh" else rest[:-1] if rest[-1].isdigit() else rest
    else:
        front = (ROOT / head).read_text(encoding="utf-8")
        module = import_module(re.search(r"from (ms2a\.cli\.\w+) import main", front)[1])
    parser = argparse.ArgumentParser(allow_abbrev=False)
    module.add_arguments(parser)
    return parser, rest


def test_commands_are_found():
    assert len(CASES) > 40
    assert len({words[0] for *_, words in CASES}) > 10


@pytest.mark.parametrize(
    ("page", "complete", "words"), CASES, ids=[f"{page}-{' '.join(words)}" for page, _, words in CASES]
)
def test_a_command_of_the_docs_is_understood(page, complete, words, capsys):
    found = parser_of(words)
    if found is None:
        return
    parser, rest = found
    if not complete:
        options = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert options <= parser._option_string_actions.keys()
        return
    try:
        parser.parse_args(rest)
    except SystemExit:
        pytest.fail(f"{page}: {' '.join(words)}: {capsys.readouterr().err.splitlines()[-1]}")
