"""Starts a tool in as many processes as asked, for the dist_*.sh scripts: launch.py TOOL GPUS ARGUMENT..."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
EXIT_USER_ERROR = 2


def main(argv: Sequence[str]) -> None:
    """Becomes the tool for one process, runs it under torchrun for several."""
    tool, gpus, arguments = str(TOOLS / argv[0]), argv[1], list(argv[2:])
    if not gpus.isdigit():
        _refuse(f"GPUS is {gpus!r}, expected a number: 0 for the CPU, else how many")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOOLS.parent), os.environ.get("PYTHONPATH")]))
    num_nodes = os.environ.get("NNODES", "1")
    if int(gpus) == 0 or (int(gpus) == 1 and num_nodes == "1"):
        device = ["--device", "cpu"] if int(gpus) == 0 else []
        os.execv(sys.executable, [sys.executable, tool, *arguments, *device])
    _run_several(tool, arguments, int(gpus), num_nodes)


def _run_several(tool: str, arguments: Sequence[str], num_processes: int, num_nodes: str) -> None:
    sys.path.insert(0, str(TOOLS.parent))
    import ms2a  # noqa: F401  # before torch: it says how threads wait

    import torch  # isort: skip
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if 0 < available < num_processes:
        _refuse(f"GPUS is {num_processes}, but torch sees {available} GPUs here")
    if num_nodes == "1":
        rendezvous = ["--standalone"]  # on a free port
    else:
        rank, address = os.environ.get("NODE_RANK", "0"), os.environ.get("MASTER_ADDR")
        if not address:
            _refuse(f"NNODES is {num_nodes}: set MASTER_ADDR to the address of the first machine")
        rendezvous = ["--nnodes", num_nodes, "--node_rank", rank, "--master_addr", address]
        rendezvous += ["--master_port", os.environ.get("PORT", "29500")]
    device = "cuda" if available else "cpu"
    command = [*rendezvous, "--nproc_per_node", str(num_processes), tool, *arguments]
    try:
        torchrun([*command, "--launcher", "pytorch", "--device", device])
    except ChildFailedError as error:
        # The processes have told what was wrong; a traceback of the launcher would bury it.
        first = min(error.failures.values(), key=lambda failure: failure.timestamp)
        if first.exitcode < 0:  # which tells nothing itself
            how = signal.Signals(-first.exitcode).name
            print(
                f"error: process {first.local_rank} of {num_processes} was ended by {how}: by the system for want of "
                "memory, or by hand; the others were stopped. A training goes on with --auto-resume",
                file=sys.stderr,
            )
        sys.exit(first.exitcode if first.exitcode > 0 else 1)
    except SignalException as error:
        sys.exit(128 + error.sigval)


def _refuse(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main(sys.argv[1:])
