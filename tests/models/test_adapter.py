"""What the adapter reads: stored prototypes, the controls in their place, and vectors."""

import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory import write_maps
from ms2a.models import MemoryAdapter, VectorMemoryAdapter

SIZES = [(8, 12), (4, 6)]
CHANNELS, K = 16, 5


def files(folder, names, sizes):
    torch.manual_seed(0)
    paths = {}
    for number, name in enumerate(names):
        paths[name] = str(folder / f"{name}.pth")
        write_maps(paths[name], [torch.randn(K, *size) * (2 + number) + 7 + number for size in sizes], {})
    return paths


def build(folder, **extra):
    memory = dict(domains=["day", "night"], num_prototypes=K, sizes_hw=SIZES)
    memory["files"] = files(folder, ["day", "night"], SIZES)
    adapter = MemoryAdapter(CHANNELS, memory, **extra)
    adapter.init_weights()
    return adapter


def prototypes(adapter, domain, level):
    return adapter.memory.memories[domain].get_buffer(f"prototypes{level}")


def maps(n=2):
    return [torch.randn(n, CHANNELS, *size) for size in SIZES]


def test_random_prototypes_have_the_stored_ones_mean_and_deviation(tmp_path):
    stored = build(tmp_path)
    random = build(tmp_path, prototypes="random")
    for domain in ("day", "night"):
        for level in range(2):
            ours, theirs = prototypes(random, domain, level), prototypes(stored, domain, level)
            assert abs(ours.mean() - theirs.mean()) < 1.2
            assert ours.std() == pytest.approx(float(theirs.std()), rel=0.25)
            assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1].abs() < 0.25


def test_without_prototypes_only_the_residual_is_read(tmp_path):
    adapter = build(tmp_path, prototypes="none")
    assert prototypes(adapter, "day", 0).abs().max() == 0
    torch.testing.assert_close(adapter.memory("day", 0), adapter.memory.memories["day"].residual0)


def test_an_unknown_kind_of_prototypes_is_refused(tmp_path):
    with pytest.raises(UserError, match="adapter.prototypes is 'none at all', expected 'stored', 'random' or 'none'"):
        build(tmp_path, prototypes="none at all")


def test_an_unknown_direction_is_refused(tmp_path):
    with pytest.raises(UserError, match="adapter.query is 'both', expected 'feature' or 'memory'"):
        build(tmp_path, query="both")


def test_zero_init_starts_at_the_neck_map_and_learns(tmp_path):
    adapter = build(tmp_path, zero_init=True)
    levels = maps()
    adapted = adapter(levels, ["day", "night"])
    for before, after in zip(levels, adapted, strict=True):
        torch.testing.assert_close(after, before)
    sum(level.square().sum() for level in adapted).backward()
    assert adapter.levels[0].project_out.weight.grad.abs().max() > 0


def test_in_evaluation_the_memorys_side_is_computed_once_until_something_changes(tmp_path, monkeypatch):
    adapter = build(tmp_path).eval()
    computed, whole = [], MemoryAdapter._compute
    monkeypatch.setattr(
        MemoryAdapter, "_compute", lambda self, domains: computed.append(domains) or whole(self, domains)
    )
    levels = maps()

    @torch.no_grad()
    def adapt(*domains):
        return adapter(levels, domains)[0]

    first = adapt("day", "night")
    torch.testing.assert_close(adapt("day", "night"), first, rtol=0, atol=0)
    adapt("day", "day")
    assert computed == [("day", "night"), ("day",)]

    state = {name: value + 1 if "residual" in name else value for name, value in adapter.state_dict().items()}
    adapter.load_state_dict(state)
    assert not torch.allclose(adapt("day", "night"), first)
    with torch.no_grad():
        adapter.levels[0].layers[0].q_lin.weight.add_(1)
    changed = adapt("day", "night")
    adapter.levels[0].layers[0].k_lin.weight.data.mul_(2)  # as the moving average's swap does, unseen by torch
    adapter.train()
    adapter.eval()
    assert not torch.allclose(adapt("day", "night"), changed)
    assert len(computed) == 5
    adapter(levels, ("day", "night"))  # with gradients nothing is kept
    assert len(computed) == 6


@torch.no_grad()
def test_other_tensors_are_noticed_though_they_were_changed_as_often(tmp_path):
    adapter = build(tmp_path).eval()
    levels = maps()
    states = [{name: value + step for name, value in adapter.state_dict().items()} for step in (0.0, 0.1)]
    for state in states:
        adapter.load_state_dict(state, assign=True)
        found = adapter(levels, ("day", "night"))[0]
        adapter.eval()  # forgets
        torch.testing.assert_close(found, adapter(levels, ("day", "night"))[0], rtol=0, atol=0)
    first = torch.func.functional_call(adapter, states[0], (levels, ("day", "night")))[0]
    adapter.load_state_dict(states[0], assign=True)
    adapter.eval()
    torch.testing.assert_close(first, adapter(levels, ("day", "night"))[0], rtol=0, atol=0)


def test_heads_that_do_not_divide_the_channels_are_refused(tmp_path):
    with pytest.raises(UserError, match=f"adapter.channels is {CHANNELS}, .* of num_heads=7"):
        build(tmp_path, num_heads=7)


@pytest.fixture
def vectors(tmp_path):
    names = [f"{domain}_{kind}" for domain in ("day", "night") for kind in ("foreground", "background")]
    memory = dict(domains=["day", "night"], num_prototypes=K, files=files(tmp_path, names, [(CHANNELS, 1)] * 2))
    adapter = VectorMemoryAdapter(CHANNELS, memory, num_levels=2)
    adapter.init_weights()
    return adapter.eval()


def awaken(adapter):
    for level in adapter.levels:
        torch.nn.init.normal_(level.out_lin.weight)


def test_a_vector_memory_starts_at_the_detector_without_it(vectors):
    levels = maps()
    for before, after in zip(levels, vectors(levels, ["day", "night"]), strict=True):
        torch.testing.assert_close(after, before)


def test_every_location_reads_its_own_domains_vectors(vectors):
    """Against a plain loop over locations and heads."""
    awaken(vectors)
    levels = maps()
    adapted = vectors(levels, ["night", "day"])
    for index, domain in enumerate(["night", "day"]):
        layer = vectors.levels[1]
        kinds = [vectors.memory(f"{domain}_{kind}", 1)[..., 0] for kind in ("foreground", "background")]
        tokens = [layer.norm_memory(kind) for kind in kinds]
        key = layer.k_lin(torch.cat(tokens))
        value = torch.cat([layer.v_lin(token) + bias for token, bias in zip(tokens, layer.kind, strict=True)])
        for row, column in ((0, 0), (3, 5)):
            query = layer.q_lin(layer.norm_feature(levels[1][index, :, row, column]))
            read, d = [], CHANNELS // layer.num_heads
            for head in range(layer.num_heads):
                part = slice(head * d, (head + 1) * d)
                weights = (key[:, part] @ query[part] / d**0.5).softmax(0)
                read.append(weights @ value[:, part])
            expected = levels[1][index, :, row, column] + layer.out_lin(torch.cat(read))
            torch.testing.assert_close(adapted[1][index, :, row, column], expected, rtol=1e-4, atol=1e-4)


def test_vectors_have_no_place(vectors):
    awaken(vectors)
    levels = maps(1)
    shifted = vectors([level.roll((1, 2), (2, 3)) for level in levels], ["day"])
    for here, there in zip(vectors(levels, ["day"]), shifted, strict=True):
        torch.testing.assert_close(here.roll((1, 2), (2, 3)), there)


def test_an_unknown_domain_is_named(vectors):
    with pytest.raises(UserError, match="unknown domain 'fog'; the memory knows day, night"):
        vectors(maps(1), ["fog"])
    assert vectors.domains == ["day", "night"]
