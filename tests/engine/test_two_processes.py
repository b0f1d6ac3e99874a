"""Two processes on the CPU compute the gradients of one process on both their images."""

import os
import subprocess
import sys

import pytest
import torch
from mmdet.models import build_detector
from torch import nn

from ms2a.config import load_config
from tests.engine.gradients_of_two import backward
from tests.tiny import ROOT, make_config, make_domains, make_memory

DOMAINS = ["day", "day", "night", "night"]  # the first process sees days only, the second nights only


def make_model(folder):
    config = make_config(folder / "config.py", make_domains(folder / "data"), memory=make_memory(folder))
    torch.manual_seed(0)
    # Of one size: the sizes of multi-scale training are drawn.
    model = build_detector(load_config(config, {"model.random_size_interval": 1000}).model)
    model.init_weights()
    model.train()
    for module in model.modules():
        # Statistics of a batch and dropped tokens are those of a process.
        if isinstance(module, (nn.BatchNorm2d, nn.Dropout)):
            module.eval()
    return model


def make_batch():
    generator = torch.Generator().manual_seed(1)
    boxes = [torch.tensor([[8.0, 8, 40, 40], [30, 20, 90, 60]])[: 1 + index % 2] for index in range(4)]
    return dict(
        img=torch.rand(4, 3, 64, 96, generator=generator) * 255,
        img_metas=[dict(domain=domain, img_shape=(64, 96, 3), ori_shape=(64, 96, 3)) for domain in DOMAINS],
        gt_bboxes=boxes,
        gt_labels=[torch.zeros(len(box), dtype=torch.long) for box in boxes],
    )


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one_on_the_whole_batch(tmp_path):
    torch.manual_seed(0)
    model, data = make_model(tmp_path), make_batch()
    torch.save((model, data), tmp_path / "start.pth")
    script = ROOT / "tests/engine/gradients_of_two.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command += [str(tmp_path / "start.pth"), str(tmp_path / "gradients.pth")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

    backward(model, data)
    gradients = torch.load(tmp_path / "gradients.pth")
    expected = {name: value.grad for name, value in model.named_parameters()}
    assert all(value is not None for value in expected.values())
    assert expected["adapter.memory.memories.day.residual0"].any()
    # Key biases have no gradient in theory: they shift all scores of a softmax alike.
    for name, value in expected.items():
        scale = value.abs().max().item()
        torch.testing.assert_close(
            gradients[name], value, rtol=0, atol=1e-4 * scale + 1e-9, msg=lambda text, n=name: f"{n}: {text}"
        )
