"""The runtimes that run a file: OpenVINO, ONNX Runtime, OpenCV."""

import functools
import os
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np

from .about import IMAGES, RAW, ExportError

ENGINES = ("openvino", "onnxruntime", "opencv")  # "auto" takes the first of the first two that is installed
PRECISIONS = ("float32", "bfloat16")
# A function from the file's inputs, by name, to its outputs in their order.
Run = Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]


def choose_engine(engine: str = "auto") -> str:
    """The engine's name if it is installed; for ``"auto"`` the fastest that is.

    Raises:
        ExportError: it is unknown or not installed.
    """
    installed = [name for name in ENGINES[:2] if find_spec(name)]
    if engine == "auto" and installed:
        return installed[0]
    if engine == "opencv" or engine in installed:
        return engine
    if engine not in ("auto", *ENGINES):
        raise ExportError(f"unknown engine {engine!r}; there are {', '.join(ENGINES)} and auto")
    raise ExportError(f"{'no engine' if engine == 'auto' else engine} is installed; run: pip install onnxruntime")


def open_file(
    path: str | os.PathLike,
    about: dict[str, Any],
    engine: str,
    precision: str = "float32",
    threads: int | None = None,
    gpu: bool = False,
) -> Run:
    """The function of a file; see :class:`.detector.ExportedDetector` for the arguments and errors."""
    if precision not in PRECISIONS:
        raise ExportError(f"unknown precision {precision!r}; there are {', '.join(PRECISIONS)}")
    if precision == "bfloat16" and engine != "openvino":
        raise ExportError(f"{engine} has no bfloat16 for this file; take openvino, or float32")
    if gpu and engine != "onnxruntime":
        raise ExportError(f"{engine} runs on the CPU; for a GPU take onnxruntime")
    threads = threads or _num_threads()
    if engine == "opencv":
        return _open_opencv(str(path), about, threads)
    return (
        _open_openvino(str(path), threads, precision)
        if engine == "openvino"
        else _open_onnxruntime(str(path), threads, gpu)
    )


def _num_threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("OMP_NUM_THREADS", cores))


def _open_onnxruntime(path: str, threads: int, gpu: bool) -> Run:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that wait for work give their core away.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = ["TensorrtExecutionProvider", "CUDAExecutionProvider"] if gpu else []
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    if gpu and not providers:
        raise ExportError("this onnxruntime has no GPU; run: pip install onnxruntime-gpu, or take the CPU")
    try:
        session = runtime.InferenceSession(path, options, providers=[*providers, "CPUExecutionProvider"])
    except Exception as error:
        raise _unreadable(path, error) from None
    return lambda inputs: session.run(None, inputs)


@functools.cache
def _openvino_core() -> Any:
    """OpenVINO's core, one a process.

    The CPU plugin (seen in 2026.4.1) gives the thread a signal stack. When several cores end, the thread may be left
    with one that exists no more, and the process dies at the next signal without a word.
    """
    return import_module("openvino").Core()


def openvino_has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor."""
    return "BF16" in _openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _open_openvino(path: str, threads: int, precision: str) -> Run:
    core = _openvino_core()
    if precision == "bfloat16" and not openvino_has_bfloat16():
        raise ExportError("this processor has no bfloat16; take float32")
    # Without a hint OpenVINO takes bfloat16 where the processor has it, and says nothing.
    options = dict(INFERENCE_PRECISION_HINT="bf16" if precision == "bfloat16" else "f32")
    options |= dict(INFERENCE_NUM_THREADS=threads, NUM_STREAMS="1")
    try:
        compiled = core.compile_model(path, "CPU", options)
    except Exception as error:
        raise _unreadable(path, error) from None
    own = threading.local()  # a request serves one thread at a time

    def run(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        results = own.request.infer(inputs, share_inputs=True)
        return [np.array(results[output]) for output in compiled.outputs]

    return run


def _open_opencv(path: str, about: dict[str, Any], threads: int) -> Run:
    if not about["raw"] or not about["shape"] or about["shape"][0] > 1:
        raise ExportError(f"OpenCV needs the head's maps, a fixed size and batch 1: export {path} by --runtime opencv")
    cv2.setNumThreads(threads)
    try:
        classic = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
        net = cv2.dnn.readNetFromONNX(path, *classic)
    except Exception as error:
        raise _unreadable(path, error) from None
    lock = threading.Lock()

    def run(inputs: dict[str, np.ndarray]) -> Sequence[np.ndarray]:
        with lock:
            net.setInput(inputs[IMAGES], IMAGES)
            return [np.array(output) for output in net.forward(RAW)]

    return run


def _unreadable(path: str, error: Exception) -> ExportError:
    return ExportError(f"ONNX file {path} cannot be read ({' '.join(str(error).split())}); export it again")
