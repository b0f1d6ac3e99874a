"""The adaptation module against slow loops and by its invariances."""

import math

import pytest
import torch
import torch.nn.functional as F

from ms2a.adaptation import EfficientAdaptation, WindowTokens, multi_head_attention, sine_position_code
from ms2a.adaptation.attention import (
    AdaptationLayer,
    QuickDropout,
    attention_weights,
    average_windows,
    average_windows_of_upsampled,
    upsample,
)


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


@pytest.mark.parametrize("images", [(2, 2), (2, 1), (1, 2), (1, 1)])  # that ask, that answer
def test_attention_has_the_gradients_of_the_plain_formula(images):
    sizes = zip((images[0], images[1], images[1]), (7, 5, 5), strict=True)
    query, key, value = (torch.randn(batch, tokens, 32, requires_grad=True) for batch, tokens in sizes)
    direction = torch.randn(max(images), 7, 32)
    weights = attention_weights(query, key, 4)
    expected = (weights @ value.unflatten(2, (4, -1)).transpose(1, 2)).transpose(1, 2).flatten(2)
    result = multi_head_attention(query, key, value, 4)
    torch.testing.assert_close(result, expected)
    gradients = (torch.autograd.grad(output, (query, key, value), direction) for output in (result, expected))
    for gradient, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, wanted)


def test_normalised_attention_does_not_see_the_scale_of_the_tokens():
    layer = AdaptationLayer(16, num_heads=4, normalise=True).eval()
    feature, memory = torch.randn(1, 16, 20, 20), torch.randn(1, 16, 20, 20)
    windows = average_windows(feature, [10])
    query, key, _, _ = layer.sides(windows, layer.remember(average_windows(memory, [10, 5, 2])))
    tokens = WindowTokens(16, [10])(windows)
    mean, variance = tokens.mean(2, keepdim=True), tokens.var(2, unbiased=False, keepdim=True)
    torch.testing.assert_close(query, layer.q_lin((tokens - mean) / (variance + 1e-5).sqrt()) / 2)  # √d
    released = AdaptationLayer(16, num_heads=4)
    assert released.scale == 1
    assert set(layer.state_dict()) - set(released.state_dict()) == {
        f"{side}.norm.{name}" for side in ("asking", "answering") for name in ("weight", "bias")
    }


@pytest.fixture(params=["feature", "memory"])
def module(request):
    torch.manual_seed(0)
    return EfficientAdaptation(channels=16, num_prototypes=6, query=request.param).eval()


def adapt(module, feature, memory, index):
    return module(feature, module.remember(memory), index)


@pytest.mark.parametrize("size_hw", [(16, 40), (4, 10), (7, 23), (1, 1)])
def test_a_traced_graph_averages_the_windows_of_any_size(size_hw):
    maps, grids = torch.randn(2, 3, *size_hw), (10, 5, 2)
    graph = torch.jit.trace(lambda maps: average_windows(maps, grids), torch.randn(1, 3, 12, 20))
    torch.testing.assert_close(graph(maps), average_windows(maps, grids))
    points = torch.randn(2, 100, 3)
    graph = torch.jit.trace(
        lambda maps, points: average_windows_of_upsampled(points, maps.shape[-2:], grids),
        (torch.randn(1, 3, 12, 20), points),
    )
    torch.testing.assert_close(graph(maps, points), average_windows_of_upsampled(points, size_hw, grids))


@pytest.mark.parametrize("size_hw", [(16, 40), (4, 10), (7, 23), (1, 1), (1, 2)])
def test_windows_of_what_is_upsampled_need_no_map(size_hw):
    points = torch.randn(2, 100, 3)
    maps = F.interpolate(
        points.transpose(1, 2).unflatten(2, (10, 10)), size=size_hw, mode="bilinear", align_corners=True
    )
    torch.testing.assert_close(upsample(points, size_hw), maps)
    expected = average_windows(maps, (10, 5, 2))
    torch.testing.assert_close(average_windows_of_upsampled(points, size_hw, (10, 5, 2)), expected)


def test_quick_dropout_is_dropout():
    x = torch.rand(7, 1001, 13) + 1
    dropout = QuickDropout(0.3)
    dropped = dropout(x)
    kept = dropped != 0
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.01)
    torch.testing.assert_close(dropped[kept], x[kept] / 0.7)
    # Neighbours are dropped independently of each other.
    flat = kept.flatten().float() - 0.7
    for distance in (1, 2, 3, 4):
        assert (flat[distance:] * flat[:-distance]).mean().abs() < 0.005
    assert torch.equal(dropout.eval()(x), x)


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


def test_a_layer_sees_the_map_that_the_layers_before_it_made(module):
    """Against the paper's F ← F + layer(F, G), map by map."""
    feature, memory = torch.randn(2, 16, 12, 20), torch.randn(2, 6, 12, 20)
    adapted = module.project_feature(feature)
    for layer, remembered in zip(module.layers, module.remember(memory), strict=True):
        answer = layer(average_windows(adapted, layer.feature_grids), remembered)
        adapted = adapted + upsample(answer, adapted.shape[-2:])
    torch.testing.assert_close(adapt(module, feature, memory, torch.tensor([0, 1])), adapted)


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
