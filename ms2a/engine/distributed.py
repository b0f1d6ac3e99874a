"""Where a run computes: the device, and the process group when there are several processes."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mmcv.runner import get_dist_info

from ms2a.defaults import LAUNCHERS
from ms2a.errors import UserError
from ms2a.lock import LOCK_FILE, only_one


def choose_device(name: str | None = None) -> torch.device:
    """The device called ``name``; by default the GPU if there is one.

    Args:
        name: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` … or None.

    Raises:
        UserError: the name is not a device, or there is no such device here.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        name = "cuda" if available else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r} is not known; expected cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device {name!r} is not supported; expected cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= available:
        raise UserError(f"device {name!r} was asked for, but torch sees {available} GPUs here; use `device='cpu'`")
    return device


def init_distributed(launcher: str, device: torch.device, timeout: timedelta | None = None) -> torch.device:
    """Joins the process group that ``launcher`` describes in the environment; returns this process's device.

    mmcv's ``init_dist`` divides by the number of GPUs, so it can't start processes on the CPU.

    Args:
        launcher: ``"none"`` (one process), ``"pytorch"`` (torchrun) or ``"slurm"`` (srun).
        device: the chosen device; with several processes on GPUs each takes the one of its local rank.
        timeout: how long processes wait for each other; default: torch's, 10 minutes on GPUs, else 30.

    Raises:
        UserError: the launcher's environment variables are missing, or there are more processes than GPUs.
    """
    if launcher == "none":
        return device
    if launcher not in LAUNCHERS:
        raise UserError(f"launcher {launcher!r} is not known; expected one of {', '.join(LAUNCHERS)}")
    if launcher == "slurm":
        _describe_slurm_job()
    missing = [name for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR") if name not in os.environ]
    if missing:
        raise UserError(f"`launcher={launcher!r}` needs {', '.join(missing)} in the environment; start with torchrun")
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group(backend="nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    return device


def check_in_first_process(check: Callable[[], None]) -> None:
    """Calls ``check`` in the first process only; what it refuses, all of them refuse instead of waiting for it.

    Raises:
        UserError: ``check`` raised it, in the first process.
    """
    message: list[str | None] = [None]
    rank, num_processes = get_dist_info()
    if rank == 0:
        try:
            check()
        except UserError as error:
            message = [str(error)]
    if num_processes > 1:
        dist.broadcast_object_list(message, src=0)
    if message[0] is not None:
        raise UserError(message[0])


@contextmanager
def only_one_run(folder: str | os.PathLike, what: str, name: str = LOCK_FILE) -> Iterator[None]:
    """:func:`ms2a.lock.only_one` for all processes of a run: the first of them holds the folder.

    Raises:
        UserError: another run holds it, in all processes.
    """
    with ExitStack() as held:
        check_in_first_process(lambda: held.enter_context(only_one(folder, what, name)))
        yield


def gather_lists(own: list) -> list:
    """The items of all processes' lists, in the order of the processes; every process gets them."""
    lists: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(lists, own)
    return [item for part in lists for item in part]


def wait_for_all() -> None:
    """Returns when every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def leave_process_group() -> None:
    """Ends what :func:`init_distributed` began; does nothing in a process on its own."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _describe_slurm_job() -> None:
    """Translates the variables of a Slurm job step into torchrun's; what is set already stays."""
    names = {"RANK": "SLURM_PROCID", "LOCAL_RANK": "SLURM_LOCALID", "WORLD_SIZE": "SLURM_NTASKS"}
    for name, slurm_name in names.items():
        if slurm_name in os.environ:
            os.environ.setdefault(name, os.environ[slurm_name])
    if "MASTER_ADDR" not in os.environ and "SLURM_NODELIST" in os.environ:
        command = ["scontrol", "show", "hostnames", os.environ["SLURM_NODELIST"]]
        os.environ["MASTER_ADDR"] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[
            0
        ]
    os.environ.setdefault("MASTER_PORT", "29500")
