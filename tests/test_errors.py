"""What a command line makes of a mistake: one line and exit status 2; a bug stays a traceback."""

import pytest
from mmdet.datasets import build_dataset

from ms2a.errors import UserError, run_main
from tests.tiny import tool


def raising(error):
    def main(argv):
        assert argv is None
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "line"),
    [
        (raising(UserError("--dim 3 is wrong; use --dim 4")), "error: --dim 3 is wrong; use --dim 4"),
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
