"""The fast form of the adaptation module against the plain one, forward and backward."""

import copy
import itertools

import pytest
import torch

from ms2a.adaptation import EfficientAdaptation, accelerate, attention
from ms2a.adaptation.fast import (
    QuickDropout,
    _kept_window_means_of_upsampled,
    average_windows,
    average_windows_of_upsampled,
    multi_head_attention,
)

CHANNELS, PROTOTYPES = 16, 6


def both(seed=0, **options):
    """The plain module, and the fast form of a copy of it; nothing in either is zero or the identity."""
    torch.manual_seed(seed)
    plain = EfficientAdaptation(CHANNELS, PROTOTYPES, **options)
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    if plain.project_out:
        torch.nn.init.normal_(plain.project_out.weight)
    return plain, accelerate(copy.deepcopy(plain))


def without_dropout(module):
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return module.train()


CASES = list(itertools.product(("feature", "memory"), (False, True), (False, True)))


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize(("query", "zero_init", "normalise"), CASES)
@pytest.mark.parametrize("index", [(0, 1, 0), (0, 0, 0), (1,)])
@pytest.mark.parametrize("sizes", [((20, 40), (16, 40)), ((7, 23), (4, 10)), ((1, 2), (3, 5))])
def test_both_forms_give_the_same_and_so_do_their_gradients(query, zero_init, normalise, index, sizes, device):
    plain, fast = both(query=query, zero_init=zero_init, normalise=normalise)
    domains = len(set(index))
    index = torch.tensor(index if domains > 1 else [0] * len(index), device=device)
    results, gradients = [], []
    feature = torch.randn(len(index), CHANNELS, *sizes[0], dtype=torch.float64)
    memory = torch.randn(domains, PROTOTYPES, *sizes[1], dtype=torch.float64)
    feature, memory = feature.to(device), memory.to(device)
    direction = torch.randn_like(feature)
    plain, fast = (without_dropout(module.double().to(device)) for module in (plain, fast))
    for module in (plain, fast):
        inputs = feature.clone().requires_grad_(), memory.clone().requires_grad_()
        known = inputs[1] if module is plain else module.remember(inputs[1])
        result = module(inputs[0], known, index)
        result.backward(direction)
        results.append(result)
        named = {name: parameter.grad for name, parameter in module.named_parameters()}
        gradients.append({"feature": inputs[0].grad, "memory": inputs[1].grad, **named})
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)
    assert gradients[0].keys() == gradients[1].keys()
    scale = max(float(gradient.abs().max()) for gradient in gradients[0].values())
    for name, wanted in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], wanted, rtol=1e-4, atol=1e-6 * scale, msg=name)
    for (name, ours), theirs in zip(fast.named_buffers(), plain.buffers(), strict=True):  # the statistics moved alike
        torch.testing.assert_close(ours, theirs, msg=name)


@pytest.mark.parametrize("normalise", [False, True])
def test_checkpoints_of_one_form_are_those_of_the_other(normalise):
    (plain, _), (_, fast) = (both(seed, normalise=normalise, zero_init=True) for seed in (0, 1))
    assert list(plain.state_dict()) == list(fast.state_dict())
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in fast.named_parameters()]
    fast.load_state_dict(plain.state_dict())
    feature, memory, index = torch.randn(1, CHANNELS, 12, 20), torch.randn(1, PROTOTYPES, 8, 8), torch.tensor([0])
    result = fast.eval()(feature, fast.remember(memory), index)
    torch.testing.assert_close(result, plain.eval()(feature, memory, index), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("query", ["feature", "memory"])
def test_a_traced_graph_is_the_plain_module_at_other_sizes_and_batches(query):
    plain, fast = both(query=query)
    plain, fast = (module.eval().requires_grad_(False) for module in (plain, fast))
    with torch.no_grad():
        memory = torch.randn(1, PROTOTYPES, 8, 8)
        remembered = fast.remember(memory)

        def graph(feature):
            return fast(feature, remembered, torch.zeros(feature.shape[0], dtype=torch.long))

        traced = torch.jit.trace(graph, torch.randn(1, CHANNELS, 12, 20), check_trace=False)
        for batch, size_hw in ((1, (12, 20)), (3, (7, 23)), (2, (1, 2))):
            feature = torch.randn(batch, CHANNELS, *size_hw)
            expected = plain(feature, memory, torch.zeros(batch, dtype=torch.long))
            torch.testing.assert_close(traced(feature), expected, rtol=1e-4, atol=1e-4)


def test_a_matrix_first_made_in_another_context_serves_training():
    expected = _kept_window_means_of_upsampled.__wrapped__(37, 5, torch.float32, torch.device("cpu"))
    _kept_window_means_of_upsampled.cache_clear()
    points = torch.randn(1, 100, 3, requires_grad=True)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        average_windows_of_upsampled(points, (37, 37), (5,))
    kept = _kept_window_means_of_upsampled(37, 5, torch.float32, torch.device("cpu"))
    assert _kept_window_means_of_upsampled.cache_info().misses == 1
    assert torch.equal(kept, expected)
    average_windows_of_upsampled(points, (37, 37), (5,)).sum().backward()


@pytest.mark.parametrize("images", [(2, 2), (2, 1), (1, 2), (1, 1)])  # that ask, that answer
def test_attention_has_the_values_and_gradients_of_the_plain_formula(images):
    sizes = zip((images[0], images[1], images[1]), (7, 5, 5), strict=True)
    query, key, value = (torch.randn(batch, tokens, 32, requires_grad=True) for batch, tokens in sizes)
    direction = torch.randn(max(images), 7, 32)
    expected = attention.multi_head_attention(query, key, value, 4)
    result = multi_head_attention(query, key, value, 4)
    torch.testing.assert_close(result, expected)
    gradients = (torch.autograd.grad(output, (query, key, value), direction) for output in (result, expected))
    for gradient, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("size_hw", [(16, 40), (4, 10), (7, 23), (1, 1)])
def test_a_traced_graph_averages_the_windows_of_any_size(size_hw):
    maps, grids = torch.randn(2, 3, *size_hw), (10, 5, 2)
    graph = torch.jit.trace(lambda maps: average_windows(maps, grids), torch.randn(1, 3, 12, 20))
    torch.testing.assert_close(graph(maps), attention.average_windows(maps, grids))
    points = torch.randn(2, 100, 3)
    graph = torch.jit.trace(
        lambda maps, points: average_windows_of_upsampled(points, maps.shape[-2:], grids),
        (torch.randn(1, 3, 12, 20), points),
    )
    torch.testing.assert_close(graph(maps, points), average_windows_of_upsampled(points, size_hw, grids))


@pytest.mark.parametrize("size_hw", [(16, 40), (4, 10), (7, 23), (1, 1), (1, 2)])
def test_windows_of_what_is_upsampled_need_no_map(size_hw):
    points, grids = torch.randn(2, 100, 3), (10, 5, 2)
    expected = attention.average_windows(attention.upsample(points, size_hw), grids)
    torch.testing.assert_close(average_windows_of_upsampled(points, size_hw, grids), expected)


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
