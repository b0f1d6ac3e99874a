"""The foreground loss and the alignment losses against slow references and hand-computed values."""

import math

import pytest
import torch
from mmdet.models.builder import build_head, build_loss

from ms2a.errors import UserError
from ms2a.memory.files import write_maps
from ms2a.models.baselines import CORALLoss, DomainAdversarialLoss, FeatureAlignment, MemoryAlignment, MMDLoss


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_foreground_dice_by_hand():
    loss = dict(type="DiceLoss", use_sigmoid=True, activate=True, loss_weight=2.0)
    branch = build_head(dict(type="ForegroundBranch", in_channels=4, loss=loss)).eval()
    c5 = torch.randn(2, 4, 2, 3, requires_grad=True)
    boxes = [torch.tensor([[0.0, 0, 64, 32], [32, 0, 96, 64]]), torch.tensor([[64.0, 32, 96, 64]])]
    masks = torch.tensor([[[1.0, 1, 1], [0, 1, 1]], [[0, 0, 0], [0, 0, 1]]])
    # Milletari 2016: 1 - 2·Σpg / (Σp² + Σg²), mean over the images, times the weight.
    overlaps = []
    for probabilities, mask in zip(branch(c5).sigmoid()[:, 0], masks, strict=True):
        overlaps.append(2 * (probabilities * mask).sum() / (probabilities.square().sum() + mask.square().sum() + 2e-3))
    expected = 2 * (1 - torch.stack(overlaps)).mean()
    value = branch.loss(c5, boxes)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, c5), torch.autograd.grad(expected, c5))


def test_mmd_matches_a_loop():
    source, target = torch.randn(4, 3), torch.randn(5, 3) + 1
    joint = [*source, *target]
    distances = [[((x - y) ** 2).sum().item() for y in joint] for x in joint]
    scale = sum(map(sum, distances)) / 81

    def kernel(i, j):
        return sum(math.exp(-distances[i][j] / (b * scale)) for b in (0.5, 2.0)) / 2

    s, t = range(4), range(4, 9)
    expected = sum(kernel(i, j) for i in s for j in s) / 16 + sum(kernel(i, j) for i in t for j in t) / 25
    expected -= 2 * sum(kernel(i, j) for i in s for j in t) / 20
    assert MMDLoss(bandwidths=(0.5, 2.0), loss_weight=3.0)(source, target).item() == pytest.approx(
        3 * expected, abs=1e-5
    )


def test_mmd_of_equal_samples_is_zero_and_of_constant_ones_finite():
    sample = torch.randn(6, 3)
    assert MMDLoss()(sample, sample).item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(MMDLoss()(torch.ones(3, 2), torch.ones(3, 2)))


def test_coral_by_hand():
    # Covariances [[2, 0], [0, 0]] and [[0, 0], [0, 8]]: squared difference 4 + 64, over 4·2².
    source = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    target = torch.tensor([[5.0, 2.0], [5.0, -2.0]])
    assert CORALLoss()(source, target).item() == pytest.approx(68 / 16)


@pytest.mark.parametrize("loss", [MMDLoss(loss_weight=10.0), CORALLoss()])
def test_descending_brings_the_samples_together(loss):
    source, target = torch.randn(32, 4), torch.randn(32, 4) * 2 + 1
    moved = source.clone().requires_grad_()
    optimizer = torch.optim.SGD([moved], lr=1.0)
    before = loss(moved, target).item()
    for _ in range(50):
        optimizer.zero_grad()
        loss(moved, target).backward()
        optimizer.step()
    assert loss(moved, target).item() < 0.7 * before


def test_adversarial_value_and_reversed_gradient():
    loss = DomainAdversarialLoss(in_channels=2, hidden_channels=4, reversal=0.5)
    source = torch.randn(3, 2, requires_grad=True)
    target = torch.randn(5, 2, requires_grad=True)
    logits_s, logits_t = loss.classifier(source), loss.classifier(target)
    expected = (-(1 - logits_s.sigmoid()).log().mean() - logits_t.sigmoid().log().mean()) / 2
    value = loss(source, target)
    torch.testing.assert_close(value, expected)
    plain = torch.autograd.grad(expected, [source, target, *loss.classifier.parameters()])
    reversed_ = torch.autograd.grad(value, [source, target, *loss.classifier.parameters()])
    for i, (a, b) in enumerate(zip(plain, reversed_, strict=True)):
        torch.testing.assert_close(b, -0.5 * a if i < 2 else a)


@pytest.mark.parametrize(
    "config", [dict(type="MMDLoss"), dict(type="CORALLoss"), dict(type="DomainAdversarialLoss", in_channels=4)]
)
def test_registered_and_gradients_are_right(config):
    loss = build_loss(config).double()
    source, target = torch.randn(5, 4, dtype=torch.double), torch.randn(6, 4, dtype=torch.double)
    if config["type"] == "DomainAdversarialLoss":
        loss.reversal = -1.0  # without the reversal the gradient must be the true one
    if config["type"] == "MMDLoss":
        # The bandwidth's scale is a constant of the gradient, so finite differences must hold it fixed.
        joint = torch.cat([source, target])
        scale = (joint[:, None] - joint[None]).square().sum(-1).mean()
        gaussian = lambda x, y: torch.stack(  # noqa: E731
            [torch.exp(-(x[:, None] - y[None]).square().sum(-1) / (b * scale)) for b in loss.bandwidths]
        ).mean()
        fixed = lambda s, t: gaussian(s, s) + gaussian(t, t) - 2 * gaussian(s, t)  # noqa: E731
        s, t = source.clone().requires_grad_(), target.clone().requires_grad_()
        for a, b in zip(torch.autograd.grad(loss(s, t), [s, t]), torch.autograd.grad(fixed(s, t), [s, t]), strict=True):
            torch.testing.assert_close(a, b)
    else:
        assert torch.autograd.gradcheck(loss, (source.requires_grad_(), target.requires_grad_()))


def test_alignment_over_levels():
    alignment = FeatureAlignment(dict(type="CORALLoss", loss_weight=2.0), "far", on="neck", max_locations=10_000)
    assert alignment.name == "loss_coral_neck"
    maps = [torch.randn(3, 4, size, size) for size in (8, 4, 2)]
    vectors = [level.permute(0, 2, 3, 1).reshape(3, -1, 4) for level in maps]
    reference = CORALLoss(2.0)
    expected = sum(reference(torch.cat([v[0], v[2]]), v[1]) for v in vectors) / 3
    torch.testing.assert_close(alignment(maps, ["near", "far", "near"]), expected)


def test_alignment_of_a_batch_of_one_domain_is_zero_with_a_gradient():
    alignment = FeatureAlignment(dict(type="MMDLoss"), "far")
    maps = [torch.randn(2, 4, 4, 4, requires_grad=True) for _ in range(3)]
    for side in ("near", "far"):
        loss = alignment(maps, [side, side])
        assert loss.item() == 0
        loss.backward()
    with pytest.raises(UserError, match="'neck' or 'adapted'"):
        FeatureAlignment(dict(type="MMDLoss"), "far", on="head")


@pytest.fixture
def memory_files(tmp_path):
    """Two prototypes of each kind at one level; the first of the foreground stands for all rows but none."""
    files, rows = {}, {"far_foreground": [[1.0, 2.0], [9.0, 9.0]], "far_background": [[3.0, 4.0], [9.0, 9.0]]}
    for name, vectors in rows.items():
        files[name] = str(tmp_path / f"{name}_cluster.pth")
        write_maps(files[name], [torch.tensor(vectors)[..., None]], dict(cluster_sizes=[[3, 0]]))
    return files


def test_alignment_to_the_memory_draws_prototypes_by_their_counts(memory_files):
    alignment = MemoryAlignment(dict(type="CORALLoss"), "far", 2, 2, memory_files, num_levels=1, max_locations=4000)
    alignment.init_weights()
    maps = [torch.randn(3, 2, 50, 50)]
    near = maps[0][[0, 2]].permute(0, 2, 3, 1).reshape(-1, 2)
    # Half of the draws are (1, 2), half (3, 4); the covariance of both is 1 everywhere.
    expected = (torch.cov(near.T) - torch.ones(2, 2)).square().sum() / 16
    assert alignment(maps, ["near", "far", "near"]).item() == pytest.approx(expected.item(), abs=0.02)
    assert alignment(maps, ["far"] * 3).item() == 0


def test_alignment_to_the_memory_moves_only_other_domains(memory_files):
    alignment = MemoryAlignment(dict(type="MMDLoss"), "far", 2, 2, memory_files, num_levels=1)
    alignment.init_weights()
    maps = [torch.randn(2, 2, 4, 4, requires_grad=True)]
    alignment(maps, ["near", "far"]).backward()
    assert maps[0].grad[0].abs().min() > 0
    assert not maps[0].grad[1].any()


def test_alignment_refuses_a_memory_that_was_never_read():
    alignment = MemoryAlignment(dict(type="MMDLoss"), "far", 2, 2, None, num_levels=1)
    alignment.init_weights()
    with pytest.raises(UserError, match="memory of 'far' is empty: give its files under to_memory.files"):
        alignment([torch.randn(1, 2, 4, 4)], ["near"])


def test_alignment_refuses_a_memory_of_another_size(memory_files):
    with pytest.raises(UserError, match=r"hold levels of \[\(4, 2\)\].*expects .*6, 2"):
        MemoryAlignment(dict(type="MMDLoss"), "far", 2, 3, memory_files, num_levels=1).init_weights()
