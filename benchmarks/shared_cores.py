"""What it gains or costs where cores are shared that threads wait for a moment only (``GOMP_SPINCOUNT``, our default).

Each part of the work runs in a process of its own, with two threads, in turn as we do it, with passive waiting, and
with torch's own, which is to wait busily for a while. Other processes, as many as ``--loads`` says, compute all the
time meanwhile. "fair" is what the work would take if all runnable threads had equal shares of the cores: the time at
load 0, times (threads of ours + load) / cores where that is above 1.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import torch
from torch import nn

from benchmarks.compare import parse_args, report

THREADS = 2
BUSY = "x = 1\nwhile True:\n    x = x * 3 % 1000003"
# The environment of each way to wait. An empty value says nothing to OpenMP and keeps our setting away.
POLICIES = {
    "ours": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "torch's own": {"OMP_WAIT_POLICY": ""},
}


def training() -> Callable[[], object]:
    """A step: forward and backward of MS2A, four images."""
    from benchmarks.detectors import MS2A, random_detector

    _, model = random_detector(MS2A)
    model.train()
    metas = [dict(domain=domain, img_shape=(128, 320, 3), scale_factor=1.0) for domain in model.domains * 2]
    boxes, labels = [torch.tensor([[20.0, 20, 90, 80]])] * 4, [torch.tensor([0])] * 4
    images = torch.rand(4, 3, 128, 320) * 255

    def step() -> None:
        losses = model(img=images, img_metas=metas, gt_bboxes=boxes, gt_labels=labels, return_loss=True)
        model._parse_losses(losses)[0].backward()

    return step


def testing() -> Callable[[], object]:
    """A batch of eight through the fast form."""
    from benchmarks.detectors import MS2A, random_detector
    from ms2a.engine.fast_inference import speed_up

    model = speed_up(random_detector(MS2A)[1].eval())
    images = torch.rand(8, 3, 128, 320) * 255
    return lambda: model.bbox_head(model.extract_feat(images))


def extraction() -> Callable[[], object]:
    """A batch of eight through backbone and neck, and into the sample."""
    from benchmarks.detectors import PLAIN, random_detector
    from ms2a.defaults import MAX_SAMPLES, NORM
    from ms2a.engine.fast_inference import speed_up
    from ms2a.memory.sampling import ChannelMapSample

    model = speed_up(random_detector(PLAIN)[1].eval())
    images, sample, numbers = (
        torch.rand(8, 3, 128, 320) * 255,
        ChannelMapSample(MAX_SAMPLES, 0, 0, NORM),
        iter(range(10**9)),
    )

    def step() -> None:
        maps = model.neck(model.backbone(images))[0].contiguous()
        sample.add([str(next(numbers)) for _ in range(8)], maps)

    return step


def clustering() -> Callable[[], object]:
    """Five iterations over 12,800 rows of 640 values, K = 100."""
    from ms2a.memory.clustering import cluster_maps

    rows = torch.randn(12_800, 16, 40)
    return lambda: cluster_maps(rows, 100, seed=0, n_iter=5)


def onnxruntime() -> Callable[[], object]:
    """Layers like a detector's in ONNX Runtime, by the options of :mod:`ms2a.runtime`."""
    import tempfile

    from ms2a.runtime.engines import open_file

    layers = [part for _ in range(20) for part in (nn.Conv2d(64, 64, 3, padding=1), nn.SiLU())]
    with tempfile.TemporaryDirectory() as folder:
        images = torch.rand(1, 64, 32, 80)
        torch.onnx.export(nn.Sequential(*layers), images, f"{folder}/x.onnx", input_names=["images"], dynamo=False)
        run = open_file(f"{folder}/x.onnx", {}, "onnxruntime", threads=THREADS)
    return lambda: run({"images": images.numpy()})


PARTS = {"training": 8, "testing": 20, "extraction": 20, "clustering": 2, "onnxruntime": 40}


def measure(part: str, calls: int) -> None:
    """Prints the seconds of a call."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    step = globals()[part]()
    with contextlib.nullcontext() if part == "training" else torch.no_grad():
        step()
        start = time.perf_counter()
        for _ in range(calls):
            step()
    print((time.perf_counter() - start) / calls)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def start(part: str, calls: int, policy: str) -> subprocess.Popen:
    """The process of a part under a policy."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        environment.pop(name, None)
    environment |= POLICIES[policy]
    command = [sys.executable, "-m", "benchmarks.shared_cores", "--part", part, "--calls", str(calls)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def seconds_of(processes: Sequence[subprocess.Popen]) -> float:
    """The slowest of some processes' seconds a call."""
    return max(float(process.communicate()[0].split()[-1]) for process in processes)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures all parts under all loads, or one part in this process."""
    args = parse_args(__doc__, argv, loads="0,4,12", parts=",".join([*PARTS, "jobs"]), part="", calls=0)
    if args.part:
        return measure(args.part, args.calls)
    idle: dict[str, float] = {}
    for load in map(int, args.loads.split(",")):
        for part in args.parts.split(","):
            # Two trainings at once are what --jobs 2 does.
            what, jobs = ("training", 2) if part == "jobs" else (part, 1)
            seconds: dict[str, list[float]] = {name: [] for name in POLICIES}
            with busy(load):
                for _ in range(args.rounds):
                    for name in POLICIES:
                        seconds[name].append(seconds_of([start(what, PARTS[what], name) for _ in range(jobs)]))
            ours_seconds = median(seconds["ours"])
            idle.setdefault(part, ours_seconds)
            cores, ours = len(os.sched_getaffinity(0)), THREADS * jobs
            fair = idle[part] * max(1, (ours + load) / max(cores, ours))
            more = {"milliseconds": round(1e3 * ours_seconds, 1), "to the fair share": round(ours_seconds / fair, 2)}
            for name in list(POLICIES)[1:]:
                claim = f"Shared cores, load {load}, {part}, waiting {name} to ours"
                report(claim, seconds[name], seconds["ours"], "–", args.results, **more)
    return None


if __name__ == "__main__":
    main()
