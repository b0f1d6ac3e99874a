"""Batch norms of their own for each domain, a baseline of the comparison."""

from collections.abc import Mapping, Sequence

import torch
from mmcv.cnn import NORM_LAYERS
from torch import Tensor, nn

from ms2a.errors import UserError
from ms2a.models.detector import domains_in_flight


@NORM_LAYERS.register_module("DomainBN")
class DomainBatchNorm(nn.Module):
    """One batch norm a domain, statistics and affine (Chang 2019, "Domain-Specific Batch Normalization").

    Images without a domain are of the last one, the target.

    Args:
        channels: C.
        domains: their names.
        **options: of torch's ``BatchNorm2d``.
    """

    def __init__(self, channels: int, domains: Sequence[str], **options) -> None:
        super().__init__()
        self.domains = list(domains)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, **options) for _ in self.domains)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), each image by the norm of its domain, in training with the statistics of its domain's images.

        Raises:
            UserError: an image is of another domain.
        """
        numbers = [self._number(domain) for domain in domains_in_flight() or [None] * len(x)]
        if len(set(numbers)) == 1:
            return self.norms[numbers[0]](x)
        normalised = {
            number: iter(self.norms[number](x[[place for place, own in enumerate(numbers) if own == number]]))
            for number in sorted(set(numbers))
        }
        return torch.stack([next(normalised[number]) for number in numbers])

    def _number(self, domain: str | None) -> int:
        if domain is not None and domain not in self.domains:
            raise UserError(f"unknown domain {domain!r}; the batch norms know {', '.join(self.domains)}")
        return self.domains.index(domain or self.domains[-1])


def for_each_domain(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a detector with one batch norm, given to the batch norms of each domain.

    Args:
        model: the detector; those without :class:`DomainBatchNorm` take the weights as they are.
        weights: a ``state_dict``.
    """
    taken = dict(weights)
    for name, module in model.named_modules():
        if not isinstance(module, DomainBatchNorm):
            continue
        for key in module.norms[0].state_dict():
            if f"{name}.{key}" in taken:
                value = taken.pop(f"{name}.{key}")
                taken |= {f"{name}.norms.{number}.{key}": value for number in range(len(module.norms))}
    return taken
