"""oneDNN for 1×1 convolutions on one thread: the same results and gradients."""

import copy

import pytest
import torch

import ms2a.plugin  # noqa: F401
from ms2a.engine.pointwise import prefer_onednn
from tests.tiny_model import INPUT_HW, build


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_outputs_and_gradients_stay_the_same(one_thread):
    usual = build().train()
    fast = copy.deepcopy(usual)
    assert prefer_onednn(fast) > 20
    images, found = torch.rand(4, 3, *INPUT_HW) * 255, []
    for model in (usual, fast):
        torch.manual_seed(1)
        maps = model.neck(model.backbone(images))
        sum((level * torch.randn_like(level)).sum() for level in maps).backward()
        found.append((maps, [value.grad for value in model.neck.parameters()]))
    for before, after in zip(*found, strict=True):
        for expected, tensor in zip(before, after, strict=True):
            torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-3 * float(expected.detach().abs().max()))
    assert fast.state_dict().keys() == usual.state_dict().keys()


def test_only_kernels_of_one_place_with_enough_outputs_are_changed(one_thread):
    layers = [
        torch.nn.Conv2d(16, 16, 3, padding=1),
        torch.nn.Conv2d(16, 16, 1, stride=2),
        torch.nn.Conv2d(16, 16, 1, groups=16),
        torch.nn.Conv2d(16, 1, 1),
        torch.nn.Conv2d(16, 16, 1),
    ]
    assert prefer_onednn(torch.nn.Sequential(*layers)) == 1
    assert [layer.dilation for layer in layers] == [(1, 1)] * 4 + [(2, 2)]


def test_several_threads_leave_torch_its_choice(one_thread):
    torch.set_num_threads(2)
    assert prefer_onednn(build()) == 0


def test_onednn_is_what_runs_and_was_not(one_thread):
    """Should a newer torch choose otherwise, the module can go."""
    layer, images = torch.nn.Conv2d(16, 16, 1), torch.rand(8, 16, 24, 32).to(memory_format=torch.channels_last)

    def operators():
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            layer(images)
        return {event.key for event in profile.key_averages()}

    before = operators()
    prefer_onednn(torch.nn.Sequential(layer))
    assert "aten::mkldnn_convolution" not in before and "aten::mkldnn_convolution" in operators()
