import random
from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from mmcv.runner import HOOKS
from mmcv.utils import build_from_cfg
from mmdet.core.hook import ExpMomentumEMAHook
from torch import nn

from ms2a.engine.hooks import (
    EpochSeedHook,
    FrozenBatchNormHook,
    MemoryEMAHook,
    ModeSwitchHook,
    PreciseNormHook,
    freeze_all_but,
)
from ms2a.errors import UserError
from ms2a.memory import MemoryBank


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.foreground = nn.Sequential(nn.Conv2d(4, 1, 1), nn.BatchNorm2d(1))
        self.bbox_head = nn.Module()
        self.bbox_head.use_l1 = False
        self.bbox_head.multi_level_conv_cls = nn.ModuleList([nn.Conv2d(4, 2, 1)])
        self.memory_residual0 = nn.Parameter(torch.zeros(2))
        self.started_at = None

    def start_epoch(self, iteration):
        self.started_at = iteration


class Loader:
    """Stands for the training loader: remembers what its data set was told to skip."""

    persistent_workers = False

    def __init__(self):
        self.dataset = self
        self.skipped = []

    def update_skip_type_keys(self, names):
        self.skipped.append(names)


def runner(max_epochs=10, rank=0):
    return SimpleNamespace(
        model=Detector(),
        data_loader=Loader(),
        max_epochs=max_epochs,
        epoch=0,
        iter=0,
        rank=rank,
        logger=mmcv.get_logger("mmdet"),
    )


def switch_epoch(hook, run, epochs):
    """The epochs at whose start the hook switches."""
    switched = []
    for run.epoch in epochs:
        before = len(run.data_loader.skipped)
        hook.before_train_epoch(run)
        if len(run.data_loader.skipped) > before:
            switched.append(run.epoch)
    return switched


@pytest.mark.parametrize(
    ("max_epochs", "last", "epochs", "expected"),
    [
        (10, 3, range(10), [6]),  # where mmdet switches
        (10, 3, range(8, 10), [8]),  # resumed past the switch
        (10, 3, range(6, 10), [6]),  # resumed right there
        (2, 15, range(2), [0]),  # shorter than the last epochs
        (3, 3, range(3), [0]),
    ],
)
def test_mode_switches_once(max_epochs, last, epochs, expected):
    run = runner(max_epochs)
    assert switch_epoch(ModeSwitchHook(num_last_epochs=last), run, epochs) == expected
    assert run.model.bbox_head.use_l1
    assert {"CrossDomainCopyPaste", "SameDomainMosaic", "RandomAffine"} <= set(run.data_loader.skipped[0])


def test_mode_does_not_switch_early():
    run = runner(10)
    assert switch_epoch(ModeSwitchHook(num_last_epochs=3), run, range(6)) == []
    assert not run.model.bbox_head.use_l1


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_seed_depends_on_seed_epoch_and_rank_only():
    draws = {}
    for seed, epoch, rank in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)]:
        run = runner(rank=rank)
        run.epoch = epoch
        EpochSeedHook(seed).before_train_epoch(run)
        draws[seed, epoch, rank] = draw()
    assert len(set(draws.values())) == 4
    EpochSeedHook(0).before_train_epoch(runner())
    assert draw() == draws[0, 0, 0]


def test_epoch_start_is_told_to_the_detector():
    run = runner()
    run.epoch, run.iter = 2, 34
    EpochSeedHook(0).before_train_epoch(run)
    assert run.model.started_at == 34


def test_freezing_leaves_predictors_residuals_and_foreground():
    model = Detector()
    trained = freeze_all_but(model)
    assert {name.split(".")[0] for name in trained} == {"foreground", "bbox_head", "memory_residual0"}
    run = SimpleNamespace(model=model.train())
    FrozenBatchNormHook().before_train_epoch(run)
    assert not model.backbone[1].training and model.foreground[1].training

    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.foreground(model.backbone(torch.rand(2, 3, 4, 4))).sum().backward()
    torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1).step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("foreground") for name in changed)


def test_freezing_names_a_part_that_matches_nothing():
    with pytest.raises(UserError, match="no parameter of the detector contains 'relation'.*backbone, bbox_head"):
        freeze_all_but(Detector(), ["relation"])


def test_hooks_are_registered():
    assert isinstance(build_from_cfg(dict(type="ModeSwitchHook", num_last_epochs=2), HOOKS), ModeSwitchHook)
    assert isinstance(build_from_cfg(dict(type="EpochSeedHook", seed=2), HOOKS), EpochSeedHook)


def test_the_moving_average_leaves_frozen_prototypes_exact():
    bank = MemoryBank(["day"], num_prototypes=3, sizes_hw=[(4, 5)])
    prototypes = torch.randn(3, 4, 5) * 100
    bank.load_prototypes("day", [prototypes])
    runner = SimpleNamespace(model=bank, iter=0)
    hook = MemoryEMAHook(momentum=0.3)
    hook.before_run(runner)
    memory = bank.memories["day"]
    first = memory.residual0.detach().clone()
    for runner.iter in range(50):
        memory.residual0.data += 1
        hook.after_train_iter(runner)
    hook.after_train_epoch(runner)
    assert torch.equal(memory.prototypes0, prototypes)
    assert (memory.residual0 > first).all() and (memory.residual0 < first + 50).all()  # averaged


def test_moving_average_equals_mmdets():
    """Of parameters and of batch norms' statistics, over iterations that change both."""
    results = []
    for kind in (ExpMomentumEMAHook, MemoryEMAHook):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        runner = SimpleNamespace(model=model, iter=0)
        hook = kind(momentum=0.1, total_iter=5, interval=2)
        hook.before_run(runner)
        for runner.iter in range(7):
            model(torch.randn(2, 3, 4, 4))
            with torch.no_grad():
                model[0].weight.add_(torch.randn(4, 3, 1, 1))
            hook.after_train_iter(runner)
        results.append(model.state_dict())
    for name, value in results[0].items():
        assert torch.equal(results[1][name], value), name
    assert not torch.equal(results[1]["ema_0_weight"], results[1]["0.weight"])


def test_processes_without_a_loader_seed_share_the_runs_order():
    sampler = SimpleNamespace(seed=0, set_epoch=lambda epoch: None)
    runner = SimpleNamespace(
        epoch=0, rank=1, iter=0, model=nn.Linear(1, 1), data_loader=SimpleNamespace(sampler=sampler)
    )
    EpochSeedHook(seed=7).before_train_epoch(runner)
    assert sampler.seed == 7


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_precise_norm_takes_means_over_the_data_set(share):
    """Against statistics computed by hand, whatever the momentum; other parts and the weights stay."""
    images = torch.rand(6, 3, 4, 4) * torch.arange(1, 7)[:, None, None, None]

    class Runs(Detector):
        def forward(self, return_loss, img):
            return self.backbone(img)

    class Images(torch.utils.data.Dataset):
        flag = np.zeros(len(images), np.uint8)

        def __init__(self, **_):
            super().__init__()

        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            return dict(img=images[index])

    from mmdet.datasets import DATASETS

    DATASETS.register_module(name="SixImages", module=Images, force=True)
    torch.manual_seed(0)
    model = Runs().train()
    weights = {name: value.clone() for name, value in model.named_parameters()}
    norm = model.backbone[1]
    norm.running_mean += 1
    trained = norm.running_mean.clone(), norm.running_var.clone()
    hook = PreciseNormHook(dict(type="SixImages"), batch_size=2, share=share)
    hook.after_train_epoch(SimpleNamespace(model=model, epoch=0, _max_epochs=2))
    assert torch.equal(norm.running_mean, trained[0])  # not before the last epoch
    hook.after_train_epoch(SimpleNamespace(model=model, epoch=1, _max_epochs=2))
    maps = model.backbone[0](images).detach()
    batches = maps.view(3, 2, 4, 4, 4)
    torch.testing.assert_close(norm.running_mean, share * maps.mean((0, 2, 3)) + (1 - share) * trained[0])
    variances = batches.transpose(1, 2).flatten(2).var(2).mean(0)  # mean over batches of each one's variance
    torch.testing.assert_close(norm.running_var, share * variances + (1 - share) * trained[1])
    assert norm.momentum == 0.1 and model.training
    for name, value in model.named_parameters():
        torch.testing.assert_close(value, weights[name])
