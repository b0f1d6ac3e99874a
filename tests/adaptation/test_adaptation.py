"""The adaptation module against slow loops and by its invariances."""

import math

import pytest
import torch

from ms2a.adaptation import (
    AdaptationLayer,
    EfficientAdaptation,
    WindowTokens,
    accelerate,
    multi_head_attention,
    sine_position_code,
)
from ms2a.adaptation.attention import TokenMLP, average_windows
from ms2a.adaptation.fast import FastMLP


def test_position_code_matches_a_loop():
    channels, height, width = 8, 3, 5
    expected = torch.zeros(channels, height, width)
    for y in range(height):
        for x in range(width):
            for c in range(channels // 2):
                frequency = 1e4 ** (-2 * (c // 2) / (channels // 2))
                wave = math.sin if c % 2 == 0 else math.cos
                expected[c, y, x] = wave((y + 1) * frequency)
                expected[channels // 2 + c, y, x] = wave((x + 1) * frequency)
    torch.testing.assert_close(sine_position_code(channels, (height, width)), expected)


def test_position_code_refuses_odd_channels():
    with pytest.raises(ValueError, match="channels is 6"):
        sine_position_code(6, (2, 2))


def test_windows_are_means_plus_code():
    maps = torch.randn(2, 8, 20, 30)
    side = WindowTokens(8, [10, 5, 2])
    tokens = side(average_windows(maps, [10, 5, 2]))
    assert tokens.shape == (2, 129, 8)
    first_of_2x2 = maps[1, :, :10, :15].mean((1, 2)) + sine_position_code(8, (2, 2))[:, 0, 0]
    torch.testing.assert_close(tokens[1, 125], first_of_2x2)


def test_attention_matches_a_loop_without_scaling():
    query, key, value = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    expected = torch.zeros(2, 3, 8)
    for b in range(2):
        for head in range(4):
            part = slice(2 * head, 2 * head + 2)
            for t in range(3):
                weights = torch.stack([query[b, t, part] @ key[b, s, part] for s in range(5)]).softmax(0)
                expected[b, t, part] = sum(weights[s] * value[b, s, part] for s in range(5))
    torch.testing.assert_close(multi_head_attention(query, key, value, num_heads=4), expected)


def test_normalised_attention_does_not_see_the_scale_of_the_tokens():
    layer = AdaptationLayer(16, num_heads=4, normalise=True).eval()
    windows = 7 + 3 * torch.randn(1, 100, 16)
    tokens = windows + layer.asking.code
    mean, variance = tokens.mean(2, keepdim=True), tokens.var(2, unbiased=False, keepdim=True)
    torch.testing.assert_close(layer.asking(windows), (tokens - mean) / (variance + 1e-5).sqrt())
    assert layer.scale == 1 / 2  # √d
    released = AdaptationLayer(16, num_heads=4)
    assert released.scale == 1
    assert set(layer.state_dict()) - set(released.state_dict()) == {
        f"{side}.norm.{name}" for side in ("asking", "answering") for name in ("weight", "bias")
    }


@pytest.mark.parametrize("query", ["feature", "memory"])
def test_a_layer_against_the_equation_written_out(query):
    """Window by window, head by head: pool, project, attend, MLP, upsample, 1×1."""
    torch.manual_seed(0)
    layer = AdaptationLayer(8, query, num_heads=2).eval()
    feature, memory = torch.randn(1, 8, 20, 30), torch.randn(1, 8, 10, 20)
    asking, answering = (feature, memory) if query == "feature" else (memory, feature)

    def windows_of(maps, grid):
        height, width = maps.shape[2] // grid, maps.shape[3] // grid
        cells = [(row, column) for row in range(grid) for column in range(grid)]
        means = [maps[0, :, y * height : (y + 1) * height, x * width : (x + 1) * width].mean((1, 2)) for y, x in cells]
        return torch.stack(means), sine_position_code(8, (grid, grid)).flatten(1).T

    windows, code = windows_of(asking, 10)
    tokens = torch.cat([sum(windows_of(answering, grid)) for grid in (10, 5, 2)])
    q, k, v = layer.q_lin(windows + code), layer.k_lin(tokens), layer.v_lin(tokens)
    heads = [slice(0, 4), slice(4, 8)]
    attended = torch.cat([(q[:, head] @ k[:, head].T).softmax(1) @ v[:, head] for head in heads], dim=1)
    x = windows + attended
    hidden = (x @ layer.mlp.fc1.weight[:, :, 0, 0].T + layer.mlp.fc1.bias).relu()
    x = x + hidden @ layer.mlp.fc2.weight[:, :, 0, 0].T + layer.mlp.fc2.bias
    result = layer(feature, memory)
    corners = x @ layer.out_conv.weight[:, :, 0, 0].T + layer.out_conv.bias
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        expected = corners.view(10, 10, 8)[row, column]
        torch.testing.assert_close(result[0, :, row, column], expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(params=["feature", "memory"])
def plain(request):
    torch.manual_seed(0)
    return EfficientAdaptation(channels=16, num_prototypes=6, query=request.param).eval()


@pytest.fixture(params=["plain", "fast"])
def module(request, plain):
    return plain if request.param == "plain" else accelerate(plain)


def adapt(module, feature, memory, index):
    if isinstance(module, EfficientAdaptation):
        return module(feature, memory, index)
    return module(feature, module.remember(memory), index)


def test_permuting_the_batch_permutes_the_result(module):
    feature, memory = torch.randn(3, 16, 12, 20), torch.randn(2, 6, 12, 20)
    index, order = torch.tensor([0, 1, 0]), torch.tensor([2, 0, 1])
    result = adapt(module, feature, memory, index)
    assert result.shape == feature.shape
    torch.testing.assert_close(adapt(module, feature[order], memory, index[order]), result[order])


def test_memory_shared_in_a_batch_equals_one_image_at_a_time(module):
    feature, memory = torch.randn(3, 16, 12, 20), torch.randn(2, 6, 12, 20)
    index = torch.tensor([1, 0, 1])
    together = adapt(module, feature, memory, index)
    for i in range(3):
        alone = adapt(module, feature[i : i + 1], memory[index[i]][None], torch.tensor([0]))
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


def test_zero_output_projection_leaves_the_projected_feature(module):
    for layer in module.layers:
        torch.nn.init.zeros_(layer.out_conv.weight)
        torch.nn.init.zeros_(layer.out_conv.bias)
    feature = torch.randn(2, 16, 12, 20)
    result = adapt(module, feature, torch.randn(1, 6, 12, 20), torch.tensor([0, 0]))
    torch.testing.assert_close(result, module.project_feature(feature))


def test_the_memory_is_read_and_learns(module):
    feature = torch.randn(1, 16, 12, 20)
    memory = torch.randn(1, 6, 12, 20, requires_grad=True)
    index = torch.tensor([0])
    result = adapt(module, feature, memory, index)
    assert not torch.allclose(result, adapt(module, feature, torch.randn(1, 6, 12, 20), index))
    result.sum().backward()
    assert memory.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("size_hw", [(3, 5), (10, 10), (40, 100)])
def test_any_size_of_feature_and_memory(module, size_hw):
    feature = torch.randn(1, 16, *size_hw)
    assert adapt(module, feature, torch.randn(1, 6, 7, 9), torch.tensor([0])).shape == feature.shape


def test_unknown_query_and_heads_are_refused():
    with pytest.raises(ValueError, match="'feature' or 'memory'"):
        EfficientAdaptation(16, 6, query="both")
    with pytest.raises(ValueError, match="multiple of num_heads=8"):
        EfficientAdaptation(20, 6)


@pytest.mark.parametrize("fast", [False, True])
def test_the_mlp_drops_a_tenth_of_what_is_hidden_and_of_what_it_returns(fast):
    mlp = TokenMLP(64, hidden_channels=64).train()
    torch.nn.init.dirac_(mlp.fc1.weight)  # the identity, so that what is dropped shows
    torch.nn.init.dirac_(mlp.fc2.weight)
    torch.nn.init.zeros_(mlp.fc1.bias)
    torch.nn.init.zeros_(mlp.fc2.bias)
    with torch.no_grad():
        found = (FastMLP(mlp) if fast else mlp)(torch.ones(1, 2000, 64))
    assert (found == 0).float().mean().item() == pytest.approx(1 - 0.9**2, abs=0.01)
    torch.testing.assert_close(found[found > 0].unique(), torch.tensor([1 / 0.9**2]), atol=1e-4, rtol=0)


def test_batch_norms_follow_their_batches_as_yolox_has_them(module):
    for name in ("project_feature", "project_memory"):
        project = getattr(module, name).train()
        maps = torch.randn(4, project.conv.in_channels, 6, 6) + 1
        means = project.conv(maps).mean((0, 2, 3))
        project(maps)
        torch.testing.assert_close(project.bn.running_mean, 0.03 * means)
        assert project.bn.eps == 1e-3
