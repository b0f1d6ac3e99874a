"""How parameters get their learning rate and weight decay."""

from mmcv.runner import DefaultOptimizerConstructor
from mmcv.runner.optimizer import OPTIMIZER_BUILDERS
from mmcv.utils import _BatchNorm, _InstanceNorm
from torch import nn
from torch.optim import Optimizer

_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)


@OPTIMIZER_BUILDERS.register_module()
class PlainNormConstructor(DefaultOptimizerConstructor):
    """mmcv's constructor whose ``norm_decay_mult`` and ``bias_decay_mult`` hold everywhere.

    In mmcv a parameter that matches a custom key forgets the other rules: a learning rate multiplier for the backbone
    would bring weight decay back to the backbone's norm layers and biases.
    """

    def __call__(self, model: nn.Module) -> Optimizer:
        """Builds the optimizer of ``model``, wrapped or not."""
        optimizer = super().__call__(model)
        multipliers = {}
        for module in model.modules():
            norm = isinstance(module, _NORMS)
            for name, parameter in module.named_parameters(recurse=False):
                if norm or name == "bias":
                    rule = "norm_decay_mult" if norm else "bias_decay_mult"
                    multipliers[parameter] = self.paramwise_cfg.get(rule, 1.0)
        # One group per parameter, unless there are no rules at all.
        for group in optimizer.param_groups if self.paramwise_cfg else ():
            if group["params"][0] in multipliers:
                group["weight_decay"] = self.base_wd * multipliers[group["params"][0]]
        _merge_equal_groups(optimizer)
        return optimizer


def _merge_equal_groups(optimizer: Optimizer) -> None:
    """Optimizers work through a group at once: few large groups take a fraction of the time of one per parameter."""
    merged: dict[tuple, dict] = {}
    for group in optimizer.param_groups:
        settings = tuple(sorted((key, repr(value)) for key, value in group.items() if key != "params"))
        if settings in merged:
            merged[settings]["params"] += group["params"]
        else:
            merged[settings] = group
    optimizer.param_groups[:] = merged.values()
