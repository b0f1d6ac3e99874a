"""Everything that a GPU can show, in one go of at most eight minutes: ``python -m benchmarks.gpu_check``.

Five parts, each in a process of its own with its own limit of seconds. A part that fails or runs out of time is
recorded, what it has measured until then counts, and the others go on:

    tests      tests/cli/test_gpu.py, then the fast tests of what depends on a device
    training   the embedded benchmark and YOLOX-S in float32 and float16, resumed and tested; Stage I; ONNX; each
               against the CPU
    speed      training as ratios to mmdet's YOLOX loop on the same pictures, MS2A to the plain detector, and whether
               the network waits for the loader
    stage1     extraction to the bare forward pass; k-means of 760,000 × 1,600 to faiss and scikit-learn
    memory     the recipe Cityscapes to Foggy Cityscapes at full size on generated pictures: peak memory of each stage

It writes ``gpu_check.json`` and ``gpu_check.md`` to ``--out`` (default ``work_dirs/gpu_check``). With ``--device cpu
--tiny 1`` it runs at sizes that mean nothing, as the tests do.

Where the machine has no package index: it needs Python 3.10 or later, torch, torchvision, NumPy, OpenCV, onnx,
onnxruntime, pytest and tqdm. On a machine that has an index collect the rest as wheels, with ``pip download --no-deps
--only-binary=:all:`` and the other machine's ``--python-version`` and ``--platform``: mmdet, addict, yapf,
terminaltables, pycocotools, faiss-cpu, pydantic, pydantic-core, annotated-types, typing-inspection, scikit-learn with
joblib and threadpoolctl. mmcv has no wheel: ``MMCV_WITH_OPS=0 pip wheel --no-deps --no-build-isolation
mmcv-full==1.7.2`` makes one of Python files alone in seconds, and ``wheel tags --python-tag py3 --abi-tag none
--platform-tag any`` says that it fits everywhere; :mod:`ms2a.operators` stands in for what it lacks.
Bring them along with this repository and run::

    python -m pip install --no-index --no-deps --target /tmp/site wheels/*.whl
    PYTHONPATH=/tmp/site python -m benchmarks.gpu_check
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ms2a.artefacts import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
# Seconds at most; together below eight minutes.
LIMITS = {"tests": 80, "training": 80, "speed": 120, "stage1": 100, "memory": 90}


def machine(device: str) -> dict[str, Any]:
    """The machine, in words."""
    import numpy
    import torch

    described = dict(python=platform.python_version(), torch=torch.__version__, numpy=numpy.__version__)
    described["cores"] = len(os.sched_getaffinity(0))
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        described |= dict(device=properties.name, memory_gib=round(properties.total_memory / 2**30, 1))
        described |= dict(cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    return described | {"device": described.get("device", "CPU")}


def run_part(name: str, device: str, tiny: bool, out: Path, limit: float) -> dict[str, Any]:
    """Runs one part in its own process group; returns its rows, how it ended and its seconds."""
    rows, log = out / f"{name}.jsonl", out / f"{name}.log"
    rows.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu_parts", name, "--device", device, "--tiny", str(int(tiny))]
    start = time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--rows", str(rows), "--work-dir", str(out / name)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ended = f"exit status {process.wait(limit)}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after its {limit:.0f} s"
        finally:
            # Data loading workers too.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    ended = "done" if ended == "exit status 0" else f"{ended}: {''.join(last)[:200]}"
    return dict(name=name, ended=ended, seconds=round(time.monotonic() - start, 1), rows=found)


def table(result: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    about = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    lines = [f"Machine: {about}.", "", "| part | what | found | expected | |", "| --- | --- | --- | --- | --- |"]
    for part in result["parts"]:
        for row in part["rows"]:
            verdict = {True: "yes", False: "**no**", None: ""}[row["ok"]]
            lines.append(f"| {part['name']} | {row['what']} | {row['found']} | {row['expected']} | {verdict} |")
        verdict = "" if part["ended"] == "done" else "**no**"
        lines.append(f"| {part['name']} | the whole part, {part['seconds']} s | {part['ended']} | done | {verdict} |")
    return "\n".join(lines) + "\n"


def failed(result: Mapping[str, Any]) -> int:
    """How many rows are not as expected, parts that did not end included."""
    rows = sum(row["ok"] is False for part in result["parts"] for row in part["rows"])
    return rows + sum(part["ended"] != "done" for part in result["parts"])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the parts; returns 1 if something is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu; default %(default)s")
    parser.add_argument("--tiny", type=int, default=0, help="1: at sizes that only show that the check itself works")
    parser.add_argument("--parts", nargs="+", choices=LIMITS, default=list(LIMITS), help="default: all")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/gpu_check"), help="default %(default)s")
    parser.add_argument("--scale-limits", type=float, default=1.0, help="factor on every part's limit of seconds")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = dict(machine=machine(args.device), parts=[])
    for name in args.parts:
        print(f"{name} …", flush=True)
        result["parts"].append(run_part(name, args.device, bool(args.tiny), out, LIMITS[name] * args.scale_limits))
        write_json(result, out / "gpu_check.json")
        write_text(table(result), out / "gpu_check.md")
    print(table(result))
    print(
        f"{failed(result)} not as expected; {out / 'gpu_check.md'}, {out / 'gpu_check.json'}, a log of each part beside"
    )
    return int(failed(result) > 0)


if __name__ == "__main__":
    sys.exit(main())
