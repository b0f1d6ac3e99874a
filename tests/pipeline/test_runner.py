"""The pipeline's runner: what is done is skipped, what has changed is done again, what was killed goes on."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ms2a.errors import UserError
from ms2a.pipeline.runner import ROOT, ListedPictures, Runner, Step

APPEND = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True); (p / 'log').open('a').write('x')"


@pytest.fixture
def lines():
    return []


@pytest.fixture
def runner(tmp_path, lines):
    return Runner(tmp_path, say=lambda text, **_: lines.append(text))


def step(tmp_path, name, inputs=(), code=APPEND, **kwargs):
    return Step(name, ["-c", code, str(tmp_path / name)], [tmp_path / name], inputs, **kwargs)


def runs(tmp_path, name):
    log = tmp_path / name / "log"
    return len(log.read_text()) if log.exists() else 0


def test_a_finished_step_is_skipped_and_its_cost_recorded(tmp_path, runner, lines):
    steps = [step(tmp_path, "one"), step(tmp_path, "two")]
    first = runner.run(steps)
    second = Runner(tmp_path, say=lambda text, **_: lines.append(text)).run(steps)
    assert runs(tmp_path, "one") == runs(tmp_path, "two") == 1
    assert first == second
    assert first[0]["seconds"] > 0 and first[0]["peak_mib"] > 1
    assert any("[1/2] one: done before" in line for line in lines)


@pytest.mark.parametrize("change", ["file", "folder"])
def test_changed_inputs_redo_the_step_and_all_after_it_and_lose_nothing(tmp_path, change):
    config, images = tmp_path / "config", tmp_path / "images"
    config.write_text("a")
    images.mkdir()

    def run():
        quiet = Runner(tmp_path, say=lambda text, **_: None)
        quiet.run([step(tmp_path, "one"), step(tmp_path, "two", [config, images]), step(tmp_path, "three")])

    run()
    run()
    assert not (tmp_path / "two.former1").exists()
    if change == "file":
        config.write_text("b")
    else:
        (images / "new").touch()
    run()
    assert runs(tmp_path, "one") == 1
    assert runs(tmp_path, "two") == runs(tmp_path, "three") == 1  # afresh, not on top of the former
    assert (tmp_path / "two.former1" / "log").exists() and (tmp_path / "three.former1" / "log").exists()


def test_a_step_depends_on_the_steps_it_reads_only(tmp_path):
    config = tmp_path / "config"
    config.write_text("a")
    base = step(tmp_path, "base", after=())

    def run(*names):
        quiet = Runner(tmp_path, say=lambda text, **_: None)
        branches = [step(tmp_path, name, [config] if name == "one" else (), after=["base"]) for name in names]
        quiet.run([base, *branches])

    run("one", "two")
    run("two")
    config.write_text("b")
    run("one", "two")
    assert runs(tmp_path, "base") == runs(tmp_path, "two") == 1
    assert (tmp_path / "one.former1").exists() and not (tmp_path / "two.former1").exists()


def test_lost_results_are_made_again(tmp_path, runner):
    runner.run([step(tmp_path, "one")])
    (tmp_path / "one" / "log").unlink()
    (tmp_path / "one").rmdir()
    Runner(tmp_path, say=lambda text, **_: None).run([step(tmp_path, "one")])
    assert runs(tmp_path, "one") == 1


def test_a_step_that_knows_itself_what_is_left_runs_every_time(tmp_path):
    for _ in range(3):
        Runner(tmp_path, say=lambda text, **_: None).run([step(tmp_path, "one", always=True), step(tmp_path, "two")])
    assert runs(tmp_path, "one") == 3
    assert runs(tmp_path, "two") == 1


def test_a_failed_step_stops_the_pipeline_and_is_tried_again(tmp_path, runner):
    mend = tmp_path / "mended"
    failing = step(tmp_path, "one", code=f"import os, sys; sys.exit(0 if os.path.exists({str(mend)!r}) else 2)")
    steps = [failing, step(tmp_path, "two")]
    with pytest.raises(UserError, match="step one failed"):
        runner.run(steps)
    assert runs(tmp_path, "two") == 0
    mend.touch()
    Runner(tmp_path, say=lambda text, **_: None).run(steps)
    assert runs(tmp_path, "two") == 1


def test_a_quiet_runner_writes_logs_and_hands_on_the_environment(tmp_path, capfd):
    code = "import os; print(os.environ['COLOUR'])"
    quiet = Runner(tmp_path, lambda *_, **__: None, {"COLOUR": "blue"}, quiet=True)
    quiet.run([Step("one", ["-c", code])])
    assert (tmp_path / "steps" / "one.log").read_text() == "blue\n"
    with pytest.raises(UserError, match=r"step two failed \(see .*two\.log\)"):
        quiet.run([Step("two", ["-c", "print('lost'); raise SystemExit(1)"])])
    assert capfd.readouterr().out == ""


def test_what_a_step_prints_comes_at_once_where_python_prints(tmp_path):
    """As in a notebook, whose output is not that of the process."""
    code = "import sys, time; print('epoch 1 ä', flush=True); time.sleep(1); sys.exit('failed')"
    seen = []

    class Output(io.StringIO):
        def write(self, text):
            seen.append((time.monotonic(), text))

    with contextlib.redirect_stdout(Output()), pytest.raises(UserError, match="step one failed"):
        Runner(tmp_path, say=lambda *_, **__: None).run([Step("one", ["-c", code])])
    texts = "".join(text for _, text in seen)
    assert texts == "epoch 1 ä\nfailed\n"
    first, last = (next(when for when, text in seen if word in text) for word in ("epoch", "failed"))
    assert last - first > 0.5


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_pipeline_leaves_no_process_behind_and_goes_on(tmp_path, how):
    child = (
        "import os, pathlib, sys, time; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True);"
        "first = not (p / 'pid').exists(); (p / 'pid').write_text(str(os.getpid())); time.sleep(60 if first else 0)"
    )
    steps = f"[Step('one', ['-c', {child!r}, {str(tmp_path / 'one')!r}], [Path({str(tmp_path / 'one')!r})])]"
    script = (
        "from pathlib import Path; from ms2a.pipeline.runner import Runner, Step;"
        f"Runner(Path({str(tmp_path)!r})).run({steps})"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL)
    pid_file = tmp_path / "one" / "pid"
    _wait_for(lambda: pid_file.exists() and pid_file.read_text())
    parent.send_signal(how)
    parent.wait()
    pid = int(pid_file.read_text())
    _wait_for(lambda: not _alive(pid))
    assert json.loads((tmp_path / "steps" / "one.json").read_text())["state"] == "started"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, stdout=subprocess.DEVNULL)
    record = json.loads((tmp_path / "steps" / "one.json").read_text())
    assert (record["state"], record["attempts"]) == ("done", 2)


def _wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_replaced_pictures_of_a_coco_file_redo_the_step(tmp_path):
    listed = ListedPictures(tmp_path / "a.json", tmp_path)
    listed.ann_file.write_text(json.dumps(dict(images=[dict(file_name="a.png"), dict(file_name="gone.png")])))
    (tmp_path / "a.png").write_bytes(b"one")

    def run():
        Runner(tmp_path, say=lambda text, **_: None).run([step(tmp_path, "one", [listed.ann_file, listed])])

    run()
    (tmp_path / "other.png").write_bytes(b"not listed")
    run()
    assert runs(tmp_path, "one") == 1 and not (tmp_path / "one.former1").exists()
    (tmp_path / "a.png").write_bytes(b"another")
    run()
    assert (tmp_path / "one.former1").exists()
