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


def computations(adapter, monkeypatch):
    """A list that grows by one entry whenever a level computes what depends on the memory alone."""
    computed = []
    for number, level in enumerate(adapter.levels):
        whole = level.remember
        monkeypatch.setattr(level, "remember", lambda *args, n=number, whole=whole: computed.append(n) or whole(*args))
    return computed


@torch.no_grad()
def test_what_is_kept_is_not_computed_again_and_gives_the_same(tmp_path, monkeypatch):
    adapter = build(tmp_path).eval()
    levels, pairs = maps(), [("day", "night"), ("night", "day"), ("day", "day"), ("night", "night")]
    expected = [adapter(levels, pair) for pair in pairs]
    computed = computations(adapter, monkeypatch)
    adapter.keep()
    assert computed == [0, 1] * 2  # each domain of its own
    for pair, before in zip(pairs, expected, strict=True):
        for ours, theirs in zip(adapter.eval()(levels, pair), before, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert len(computed) == 4
    with torch.enable_grad():  # what is kept has no gradient
        adapter(levels, ("day", "night"))[0].sum().backward()
    assert len(computed) == 6
    assert adapter.memory.memories["day"].residual0.grad.abs().max() > 0


@torch.no_grad()
@pytest.mark.parametrize(
    "change",
    [
        lambda adapter: adapter.load_state_dict({name: value + 1 for name, value in adapter.state_dict().items()}),
        lambda adapter: adapter.load_state_dict(
            {name: value + 1 for name, value in adapter.state_dict().items()}, assign=True
        ),
        lambda adapter: adapter.train() and adapter.levels[0].layers[0].k_lin.weight.data.mul_(2),
        lambda adapter: adapter.double().float(),
    ],
)
def test_training_mode_weights_and_moves_drop_what_is_kept(tmp_path, monkeypatch, change):
    adapter = build(tmp_path).eval()
    adapter.keep()
    computed = computations(adapter, monkeypatch)
    change(adapter)
    adapter.eval()(maps(), ("day", "night"))
    assert computed == [0, 1]


@torch.no_grad()
def test_a_domain_without_prototypes_is_not_kept_but_told(tmp_path):
    memory = dict(domains=["day", "night"], num_prototypes=K, sizes_hw=SIZES, files=files(tmp_path, ["day"], SIZES))
    adapter = MemoryAdapter(CHANNELS, memory)
    adapter.init_weights()
    adapter.eval().keep()
    adapter(maps(), ("day", "day"))
    with pytest.raises(UserError, match="memory of domain 'night' holds no prototypes"):
        adapter(maps(), ("day", "night"))


@torch.no_grad()
@pytest.mark.parametrize("query", ["feature", "memory"])
@pytest.mark.parametrize("keep", [False, True])
def test_a_call_under_autocast_leaves_nothing_behind(tmp_path, query, keep):
    """In every order: kept or first called under autocast or without."""
    adapter = build(tmp_path, query=query).eval()
    levels = maps()
    expected = adapter(levels, ("day", "night"))
    for half in (True, False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            if keep:
                adapter.keep()
            low = adapter(levels, ("day", "night"))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = adapter(levels, ("day", "night"))
        for ours, rough, theirs in zip(adapter(levels, ("day", "night")), low, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
            assert (rough - theirs).abs().max() < 0.1 * theirs.abs().max()


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
