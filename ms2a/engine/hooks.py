"""Training hooks: mode switch, seeding by epoch, freezing."""

import random
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook
from mmdet.core.hook import ExpMomentumEMAHook, YOLOXModeSwitchHook
from mmdet.datasets import build_dataloader, build_dataset
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ms2a.errors import UserError

MIXING_TRANSFORMS = ("CrossDomainCopyPaste", "CopyPaste", "SameDomainMosaic", "Mosaic", "RandomAffine", "MixUp")
# What trains when the rest is frozen: the head's predictors, the memory's residuals, the foreground branch.
TRAINABLE_WHEN_FROZEN = ("bbox_head.multi_level_conv_", "residual", "foreground.")


@HOOKS.register_module()
class ModeSwitchHook(YOLOXModeSwitchHook):
    """mmdet's YOLOX mode switch, also when training resumes past the switch or is shorter than the last epochs.

    From epoch ``max_epochs - num_last_epochs`` on, mixing augmentation is off and the L1 loss on, as in mmdet; mmdet
    switches only in an epoch that starts exactly there.

    Args:
        num_last_epochs: epochs without mixing augmentation at the end.
        skip_type_keys: names of the transforms that the dataset then skips.
    """

    def __init__(self, num_last_epochs: int = 15, skip_type_keys: Sequence[str] = MIXING_TRANSFORMS):
        super().__init__(num_last_epochs, tuple(skip_type_keys))
        self._switched = False

    def before_train_epoch(self, runner) -> None:
        """Switches once, in the first epoch at or past the switch."""
        configured = self.num_last_epochs
        if not self._switched and runner.epoch + 1 >= runner.max_epochs - configured:
            # The parent switches where the remaining epochs equal this number.
            self.num_last_epochs = runner.max_epochs - runner.epoch - 1
            self._switched = True
        super().before_train_epoch(runner)
        self.num_last_epochs = configured


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds python, numpy and torch before each training epoch, so that a resumed run equals an uninterrupted one.

    Data loading workers draw their seeds from torch's generator when the epoch's loader starts, after this hook:
    register it with the lowest priority and give the loader no seed of its own. A detector with ``start_epoch`` is
    told the number of iterations done.

    Args:
        seed: the seed of the run.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def before_train_epoch(self, runner) -> None:
        """Seeds with a hash of the run's seed, the epoch and the rank."""
        seed = int(np.random.SeedSequence([self.seed, runner.epoch, runner.rank]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        sampler = getattr(runner.data_loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            # A loader without a seed leaves the sampler of several processes with 0, whatever the run's seed.
            sampler.seed = self.seed
        model = _unwrapped(runner.model)
        if hasattr(model, "start_epoch"):
            model.start_epoch(runner.iter)


@HOOKS.register_module()
class MemoryEMAHook(ExpMomentumEMAHook):
    """mmdet's exponential moving average, all tensors at once, that leaves the prototypes alone.

    Averaging a constant rounds it away.
    """

    def before_run(self, runner) -> None:
        """Registers the averages, then leaves out the frozen prototypes."""
        super().before_run(runner)
        averaged = self.model_parameters.items()
        self.model_parameters = {name: value for name, value in averaged if ".prototypes" not in name}
        # Counters are no average.
        names = [name for name, value in self.model_parameters.items() if value.is_floating_point()]
        self._values = [self.model_parameters[name] for name in names]
        self._averages = [self.model_buffers[self.param_ema_buffer[name]] for name in names]

    @torch.no_grad()
    def after_train_iter(self, runner) -> None:
        """Moves the averages towards the weights, every ``interval`` iterations; one call instead of two a tensor."""
        if not self.every_n_iters(runner, self.interval):
            return
        momentum = self.get_momentum(runner)
        torch._foreach_mul_(self._averages, 1 - momentum)
        torch._foreach_add_(self._averages, self._values, alpha=momentum)


@HOOKS.register_module()
class FrozenBatchNormHook(Hook):
    """Keeps batch norms with only frozen parameters in evaluation mode, which ``model.train()`` undoes each epoch."""

    def before_train_epoch(self, runner) -> None:
        """Runs after the runner has put the model into training mode."""
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
                module.eval()


@HOOKS.register_module()
class PreciseNormHook(Hook):
    """Estimates the statistics of all batch norms anew at the end of the training, as means over a data set.

    With the target's unlabelled images and a learning rate of 0 this is AdaBN (Li 2016, "Revisiting Batch Normalization
    for Practical Domain Adaptation"); a ``share`` keeps a part of those of the training (Schneider 2020, "Improving
    Robustness against Common Corruptions by Covariate Shift Adaptation"). Register it after the moving average, whose
    weights it then sees. torch's ``update_bn`` would put the rest of the detector into training mode too, with its
    dropout and its drawn sizes.

    Args:
        dataset: config of a data set with a test pipeline.
        batch_size: images per forward pass.
        share: of the new statistics in what is kept, in 0–1; the rest are those of the training.
    """

    def __init__(self, dataset: dict, batch_size: int = 8, share: float = 1.0):
        self.dataset = dataset
        self.batch_size = batch_size
        self.share = share

    def after_train_epoch(self, runner) -> None:
        """After the last epoch runs the detector over the data set with only its batch norms in training mode."""
        if not self.is_last_epoch(runner):
            return
        dataset = build_dataset(self.dataset)
        loader = build_dataloader(dataset, self.batch_size, workers_per_gpu=0, dist=False, shuffle=False)
        norms = [module for module in runner.model.modules() if isinstance(module, _BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        trained = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
        runner.model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        with torch.no_grad():
            for batch in loader:
                runner.model(return_loss=False, **batch)
        runner.model.train()
        for norm, momentum, (mean, variance) in zip(norms, momenta, trained, strict=True):
            norm.momentum = momentum
            norm.running_mean.lerp_(mean, 1 - self.share)
            norm.running_var.lerp_(variance, 1 - self.share)


def freeze_all_but(model: nn.Module, trainable: Sequence[str] = TRAINABLE_WHEN_FROZEN) -> list[str]:
    """Stops the gradients of every parameter whose name contains none of ``trainable``; returns the names that train.

    Args:
        model: the detector, before it is wrapped and before its optimizer is built.
        trainable: parts of parameter names.

    Raises:
        UserError: a part matches no parameter.
    """
    names = [name for name, _ in model.named_parameters()]
    for part in trainable:
        if not any(part in name for name in names):
            modules = ", ".join(sorted({name.split(".")[0] for name in names}))
            raise UserError(f"freeze: no parameter of the detector contains {part!r}; its parts are {modules}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in trainable))
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_module_wrapper(model) else model
