from datetime import timedelta

import pytest
import torch

from ms2a.engine.distributed import choose_device, init_distributed
from ms2a.errors import UserError

GPUS = torch.cuda.device_count()


def test_default_device_is_the_gpu_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device() == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("name", "message"), [("tpu9", "not known"), ("meta", "not supported"), (f"cuda:{GPUS}", f"torch sees {GPUS} GPUs")]
)
def test_unusable_devices(name, message):
    with pytest.raises(UserError, match=message):
        choose_device(name)


def test_without_a_launcher_nothing_is_joined():
    assert init_distributed("none", torch.device("cpu")) == torch.device("cpu")
    assert not torch.distributed.is_initialized()


def test_launchers_environment_is_checked(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="needs RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR in the environment"):
        init_distributed("pytorch", torch.device("cpu"))
    with pytest.raises(UserError, match="'mpirun' is not known; expected one of none, pytorch, slurm"):
        init_distributed("mpirun", torch.device("cpu"))


def test_slurm_job_step_on_the_cpu(monkeypatch):
    variables = dict(SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_NTASKS="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        # Set first, so that what the function sets is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    try:
        assert init_distributed("slurm", torch.device("cpu"), timedelta(days=2)) == torch.device("cpu")
        assert torch.distributed.get_backend() == "gloo"
        backend = torch.distributed.distributed_c10d._get_default_group()._get_backend(torch.device("cpu"))
        assert backend.options._timeout == timedelta(days=2)
    finally:
        torch.distributed.destroy_process_group()
