import copy

import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory.bank import MemoryBank

SIZES = [(8, 12), (4, 6), (2, 3)]


def _bank(domains=("s", "t1"), num_prototypes=5, sizes_hw=SIZES, **options):
    return MemoryBank(domains, num_prototypes, sizes_hw, **options)


def _maps(num_prototypes=5, sizes=SIZES):
    return [torch.rand(num_prototypes, *size) for size in sizes]


def _filled_bank(**options):
    bank = _bank(**options)
    for domain in bank.domains:
        bank.load_prototypes(domain, _maps(bank.num_prototypes, bank.sizes_hw))
    return bank


def test_memory_is_prototypes_plus_residual():
    bank, maps = _bank(), _maps()
    bank.load_prototypes("t1", maps)
    for level, prototypes in enumerate(maps):
        residual = bank.memories["t1"].get_parameter(f"residual{level}")
        assert torch.equal(bank("t1", level), prototypes + residual)
    assert bank.domains == ["s", "t1"]
    plain = _bank(residual=False)
    plain.load_prototypes("s", maps)
    assert torch.equal(plain("s", 1), maps[1])
    assert not list(plain.parameters())


def test_prototypes_are_frozen_and_residuals_learn():
    bank = _filled_bank()
    assert all("residual" in name for name, _ in bank.named_parameters())
    bank("s", 0).sum().backward()
    assert torch.equal(bank.memories["s"].residual0.grad, torch.ones(5, 8, 12))
    assert bank.memories["t1"].residual0.grad is None
    assert not bank.memories["s"].prototypes0.requires_grad


def test_state_keys_are_documented_ones():
    expected = {
        f"memories.{d}.{k}{level}" for d in ("s", "t1") for k in ("prototypes", "residual") for level in range(3)
    }
    assert set(_bank().state_dict()) == expected


def test_residual_starts_normal_with_the_given_deviation():
    torch.manual_seed(0)
    residual = _bank(num_prototypes=200, residual_std=0.01).memories["s"].residual0.detach()
    assert float(residual.std()) == pytest.approx(0.01, rel=0.05)
    assert abs(float(residual.mean())) < 1e-3


def test_state_dict_round_trip_fills_the_other_bank():
    bank, other = _filled_bank(), _bank()
    assert not other.is_filled("s")
    other.load_state_dict(bank.state_dict())
    for domain in ("s", "t1"):
        assert other.is_filled(domain)
        assert all(torch.equal(bank(domain, level), other(domain, level)) for level in range(3))
    assert copy.deepcopy(other).is_filled("s")


def test_a_state_dict_of_an_unfilled_memory_leaves_it_unfilled():
    bank, other = _bank(), _filled_bank()
    bank.load_prototypes("s", _maps())
    other.load_state_dict(bank.state_dict())
    assert other.is_filled("s")
    assert not other.is_filled("t1")


def test_weights_without_memory_leave_the_bank_as_it_is():
    model = torch.nn.ModuleDict(dict(conv=torch.nn.Conv2d(1, 1, 1), bank=_filled_bank()))
    before = copy.deepcopy(model["bank"].state_dict())
    model.load_state_dict({"conv.weight": torch.ones(1, 1, 1, 1)}, strict=False)
    assert model["bank"].is_filled("s")
    assert all(torch.equal(value, before[key]) for key, value in model["bank"].state_dict().items())


def test_unfilled_memory_is_refused_with_the_remedy():
    with pytest.raises(UserError, match="'s' holds no prototypes: .*_cluster.pth"):
        _bank()("s", 0)


def test_unknown_domain_lists_the_known():
    bank = _filled_bank()
    for use in (lambda: bank("fog", 0), lambda: bank.is_filled("fog"), lambda: bank.load_prototypes("fog", _maps())):
        with pytest.raises(UserError, match="unknown domain 'fog'; the memory knows s, t1"):
            use()


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (_maps(7), "K=7 .* num_prototypes=5"),
        (_maps(sizes=[(8, 12), (4, 9), (2, 3)]), "4x9 at level 1, the config has 4x6"),
        (_maps()[:2], "2 levels, the config has 3"),
        ([torch.rand(5, 3, *size) for size in SIZES], r"shape \(5, 3, 8, 12\)"),
        ([torch.full((5, *size), torch.nan) for size in SIZES], "not finite"),
    ],
)
def test_prototypes_that_do_not_fit_are_refused_with_both_numbers(maps, message):
    bank = _bank()
    with pytest.raises(UserError, match=message):
        bank.load_prototypes("s", maps)
    assert not bank.is_filled("s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(num_prototypes=7), "'s' are K=7 at level 0, the config has num_prototypes=5"),
        (dict(sizes_hw=[(8, 12), (4, 9), (2, 3)]), "4x9 at level 1, the config has 4x6"),
        (dict(sizes_hw=SIZES[:2]), "have 2 levels, the config has 3"),
        (dict(domains=["s", "t2"]), r"2 domains \(s, t2\), the config of 2 \(s, t1\)"),
        (dict(domains=["s"]), r"1 domains \(s\), the config of 2"),
        (dict(residual=False), "residual of domain 's' have 0 levels, the config has 3"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_even_by_lenient_loaders(options, message):
    model = torch.nn.ModuleDict(dict(bank=_bank()))
    state = {f"bank.{key}": value for key, value in _filled_bank(**options).state_dict().items()}
    with pytest.raises(UserError, match=message):
        model.load_state_dict(state, strict=False)


def test_a_checkpoint_with_residuals_does_not_lose_them_silently():
    with pytest.raises(UserError, match="residual=False"):
        _bank(residual=False).load_state_dict(_filled_bank().state_dict(), strict=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(domains=[]), "no domains"),
        (dict(domains=["s", "s"]), "'s' is listed twice"),
        (dict(domains=["a.b"]), "'a.b' is not usable"),
        (dict(domains=["train"]), "'train' means something else"),
        (dict(num_prototypes=0), "memory of 0 prototypes"),
        (dict(sizes_hw=[(0, 4)]), r"\[\(0, 4\)\]"),
    ],
)
def test_banks_that_can_not_be_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        _bank(**options)


def test_residuals_start_as_normal_noise_of_a_thousandth():
    bank = _bank(num_prototypes=100)
    values = torch.cat([value.flatten() for value in bank.parameters()])
    assert values.std().item() == pytest.approx(1e-3, rel=0.05) and abs(values.mean().item()) < 1e-4
