"""One of two processes that each take half a batch; writes the gradients they agree on. Run by test_two_processes."""

import sys

import mmdet.utils
import torch

from ms2a.engine.distributed import init_distributed, leave_process_group


def backward(model, data):
    """One training step's gradients, without the optimizer."""
    model.train_step(data, None)["loss"].backward()


if __name__ == "__main__":
    start, out = sys.argv[1:]
    init_distributed("pytorch", torch.device("cpu"))
    torch.set_num_threads(1)
    rank = torch.distributed.get_rank()
    model, data = torch.load(start, weights_only=False)  # this test wrote it
    wrapped = mmdet.utils.build_ddp(model, "cpu", broadcast_buffers=False, find_unused_parameters=True)
    backward(wrapped, {key: value[2 * rank : 2 * rank + 2] for key, value in data.items()})
    if rank == 0:
        torch.save({name: value.grad for name, value in model.named_parameters()}, out)
    leave_process_group()
