"""What a command line makes of a mistake: one line and exit status 2; a bug stays a traceback."""

import argparse
import ast
import importlib
import os
import re
import sys

import pytest
from mmdet.datasets import build_dataset

from ms2a.errors import UserError, as_options, run_main
from tests.tiny import ROOT, tool


def raising(error):
    def main(argv):
        assert argv is None
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "line"),
    [
        (raising(UserError("`dim=3` is wrong; use `dim=4`")), "error: --dim 3 is wrong; use --dim 4"),
        (raising(PermissionError(13, "Permission denied", "/out")), "error: [Errno 13] Permission denied: '/out'"),
        (lambda _: build_dataset(dict(type="Nope")), "error: Nope is not in the dataset registry"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(main, line, capsys):
    with pytest.raises(SystemExit) as left:
        run_main(main)
    assert left.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(line) and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`batch_size=0` is too small", "--batch_size 0 is too small"),
        ("use `device='cpu'` or `max_samples`", "use --device cpu or --max-samples"),
        ("`strict=True` stops", "--strict stops"),
        ("`save_dir` lies in it", "SAVE_DIR lies in it"),
        ("num_classes=3, domain='x'", "num_classes=3, domain='x'"),  # keys of a config stay what they are
    ],
)
def test_arguments_of_the_python_interface_become_options(message, expected):
    assert as_options(message) == expected


def command_options():
    """All options and positional arguments of all commands."""
    words = set()
    for path in (ROOT / "ms2a/cli").glob("[!_]*.py"):
        module = importlib.import_module(f"ms2a.cli.{path.stem}")
        if hasattr(module, "add_arguments"):
            parser = argparse.ArgumentParser()
            module.add_arguments(parser)
            for action in parser._actions:
                words |= set(action.option_strings) or {action.dest.upper()}
    return words


def test_every_argument_that_an_error_names_is_an_option_of_a_command():
    named = {}
    for path in (ROOT / "ms2a").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UserError":
                for text in (part.value for part in ast.walk(node) if isinstance(part, ast.Constant)):
                    for name in re.findall(r"`(\w+)(?:=|`)", str(text)):
                        named[name] = path.name
    assert {"dim", "device", "cfg_options", "save_dir"} <= set(named)
    options = command_options()
    assert {name: where for name, where in named.items() if as_options(f"`{name}`") not in options} == {}


def reading_a_damaged_file(argv):
    try:
        raise KeyError("what lies behind")
    except KeyError:
        raise UserError("file a.pth cannot be read") from None


@pytest.mark.parametrize("how", ["option", "variable", "not"])
def test_debugging_shows_the_traceback_and_what_lies_behind(how, capsys, monkeypatch):
    monkeypatch.setenv("MS2A_DEBUG", "1" if how == "variable" else "0")
    monkeypatch.setattr(sys, "argv", ["train.py", "c.py", *(["--debug"] if how == "option" else [])])
    with pytest.raises(SystemExit) as left:
        run_main(reading_a_damaged_file)
    printed = capsys.readouterr().err
    assert left.value.code == 2 and printed.endswith("error: file a.pth cannot be read\n")
    assert ("KeyError: 'what lies behind'" in printed) == ("reading_a_damaged_file" in printed) == (how != "not")
    assert sys.argv == ["train.py", "c.py"]  # commands need not know the option
    assert os.environ["MS2A_DEBUG"] == ("0" if how == "not" else "1")  # for processes that are started


def test_a_mistake_is_also_a_value_error():
    with pytest.raises(ValueError, match="wrong"):
        raise UserError("wrong")


def test_ctrl_c_is_no_traceback(capsys):
    with pytest.raises(SystemExit) as left:
        run_main(raising(KeyboardInterrupt()))
    assert (left.value.code, capsys.readouterr().err) == (130, "error: interrupted\n")


@pytest.mark.parametrize("error", [KeyError("gt_bboxes"), ValueError("a bug")])
def test_a_bug_is_not_taken_for_a_mistake(error):
    with pytest.raises(type(error)):
        run_main(raising(error))


@pytest.mark.parametrize("text", ["-1", "4294967296", "x", "1.5"])
@pytest.mark.parametrize("command", ["train", "browse_batches", "run_pipeline", "make_indus_synth"])
def test_a_seed_that_numpy_refuses_is_refused_at_once(command, text, capsys):
    arguments = {"train": ["c.py"], "browse_batches": ["c.py", "--out-dir", "o"], "run_pipeline": ["c.py"]}
    with pytest.raises(SystemExit) as left:
        tool(f"tools/{command}.py")([*arguments.get(command, []), "--seed", text])
    assert left.value.code == 2
    assert f"'{text}' is no whole number from 0 to 4294967295" in capsys.readouterr().err
