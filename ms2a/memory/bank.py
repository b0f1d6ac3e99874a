"""The memory bank: per domain and level, K frozen prototypes plus a learned residual."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ms2a.errors import UserError
from ms2a.memory.domains import check_domain_name, choose_domain


class _DomainMemory(nn.Module):
    """Prototypes (frozen buffers) and residuals (parameters) of one domain, one pair per level."""

    def __init__(self, num_prototypes: int, sizes_hw: Sequence[tuple[int, int]], residual: bool, std: float) -> None:
        super().__init__()
        self.filled = False
        for level, (height, width) in enumerate(sizes_hw):
            shape = (num_prototypes, height, width)
            # NaN until loaded: a memory that was never filled can not pass for one that was.
            self.register_buffer(f"prototypes{level}", torch.full(shape, float("nan")))
            if residual:
                self.register_parameter(f"residual{level}", nn.Parameter(torch.randn(shape) * std))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.refresh_filled()

    def refresh_filled(self) -> None:
        """Sets ``filled`` from what the prototypes hold."""
        self.filled = all(bool(torch.isfinite(buffer).all()) for buffer in self.buffers())


class MemoryBank(nn.Module):
    """``M_d,l = Z_d,l + R_d,l``: the memories of all domains, kept whole in the state dict.

    State: buffers ``memories.<domain>.prototypes<l>`` and parameters ``memories.<domain>.residual<l>``, each
    (K, H_l, W_l) float32. Prototypes are NaN until :meth:`load_prototypes` or a state dict fills them.

    Args:
        domains: names of the domains, letters, digits, ``_`` and ``-``.
        num_prototypes: K, prototypes per domain and level.
        sizes_hw: (H_l, W_l) of each level's maps, in cells.
        residual: whether to add a learned residual to the prototypes.
        residual_std: standard deviation of the residual's normal initial values.

    Raises:
        UserError: no domain, a name twice or one that can not be used, or a K or size below 1.
    """

    def __init__(
        self,
        domains: Sequence[str],
        num_prototypes: int,
        sizes_hw: Sequence[tuple[int, int]],
        residual: bool = True,
        residual_std: float = 1e-3,
    ) -> None:
        super().__init__()
        self.num_prototypes = num_prototypes
        self.sizes_hw = [(int(height), int(width)) for height, width in sizes_hw]
        self.residual = residual
        if num_prototypes < 1 or not self.sizes_hw or min(min(size) for size in self.sizes_hw) < 1:
            raise UserError(f"memory of {num_prototypes} prototypes at sizes {self.sizes_hw}: each must be at least 1")
        self.memories = nn.ModuleDict()
        for domain in domains:
            self._add_domain(check_domain_name(domain), residual_std)
        if not self.memories:
            raise UserError("the memory bank has no domains: list at least one, e.g. domains=['source', 'target']")

    def _add_domain(self, domain: str, residual_std: float) -> None:
        if domain in self.memories:
            raise UserError(f"domain {domain!r} is listed twice in the memory bank; list each domain once")
        if hasattr(self.memories, domain):
            raise UserError(
                f"domain name {domain!r} means something else to torch; choose another, e.g. '{domain}_set'"
            )
        self.memories[domain] = _DomainMemory(self.num_prototypes, self.sizes_hw, self.residual, residual_std)

    @property
    def domains(self) -> list[str]:
        """Names of the domains, in the order they were given."""
        return list(self.memories)

    def is_filled(self, domain: str) -> bool:
        """Whether the prototypes of ``domain`` have been loaded."""
        return self._memory(domain).filled

    def forward(self, domain: str, level: int) -> Tensor:
        """The memory of one domain at one level.

        Args:
            domain: name of the domain.
            level: index of the level, 0 the finest.

        Returns:
            (K, H_l, W_l) float32, ``Z + R``; the gradient reaches the residual only.

        Raises:
            UserError: the domain is unknown, or its prototypes were never loaded.
        """
        memory = self._memory(domain)
        if not memory.filled:
            raise UserError(
                f"memory of domain {domain!r} holds no prototypes: give its *_cluster.pth under memory.files of the "
                "config, or load a checkpoint that holds the memory"
            )
        prototypes = getattr(memory, f"prototypes{level}")
        # Not get_parameter(): in self-training a plain tensor, the teacher's, stands in the parameter's place.
        return prototypes + getattr(memory, f"residual{level}") if self.residual else prototypes

    @torch.no_grad()
    def load_prototypes(self, domain: str, maps: Sequence[Tensor]) -> None:
        """Fills the prototypes of one domain.

        Args:
            domain: name of the domain.
            maps: per level the centroids, (K, H_l, W_l) floating point.

        Raises:
            UserError: unknown domain, or another number of levels, K or size than the bank's, or values not finite.
        """
        memory = self._memory(domain)
        what = f"the prototypes given for domain {domain!r}"
        self._check_num_levels(what, len(maps))
        for level, prototypes in enumerate(maps):
            self._check_shape(what, level, prototypes)
            if not torch.isfinite(prototypes).all():
                raise UserError(f"{what} hold values that are not finite at level {level}; extract and cluster again")
        for level, prototypes in enumerate(maps):
            memory.get_buffer(f"prototypes{level}").copy_(prototypes)
        memory.filled = True

    def _memory(self, domain: str) -> _DomainMemory:
        return self.memories[choose_domain(domain, self.domains)]

    def _check_num_levels(self, what: str, found: int) -> None:
        if found != len(self.sizes_hw):
            raise UserError(f"{what} have {found} levels, the config has {len(self.sizes_hw)}; use matching ones")

    def _check_shape(self, what: str, level: int, value: Tensor) -> None:
        expected = (self.num_prototypes, *self.sizes_hw[level])
        if value.ndim != 3:
            raise UserError(f"{what} have shape {tuple(value.shape)} at level {level}, expected (K, H, W) = {expected}")
        if value.shape[0] != expected[0]:
            raise UserError(
                f"{what} are K={value.shape[0]} at level {level}, the config has num_prototypes={expected[0]}; "
                "cluster again into that many or change the config"
            )
        if tuple(value.shape[1:]) != expected[1:]:
            found, wanted = ("{}x{}".format(*size) for size in (value.shape[1:], expected[1:]))
            raise UserError(
                f"{what} are {found} at level {level}, the config has {wanted} (rows x columns) in sizes_hw; "
                "extract again at that image size or change the config"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Checked here, in the open: lenient loaders only log a mismatch and would run on with the wrong memory.
        self._check_state(state_dict, f"{prefix}memories.")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_state(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Refuses a state dict with other memories than the bank's; one without any memory is fine."""
        found: dict[str, dict[str, Tensor]] = {}
        for key in state_dict:
            if key.startswith(prefix):
                domain, _, name = key.removeprefix(prefix).rpartition(".")
                found.setdefault(domain, {})[name] = state_dict[key]
        if found and set(found) != set(self.memories):
            raise UserError(
                f"the checkpoint holds memories of {len(found)} domains ({', '.join(sorted(found))}), the config of "
                f"{len(self.memories)} ({', '.join(sorted(self.domains))}); use the config it was trained with"
            )
        for domain, tensors in found.items():
            for kind in ("prototypes", "residual") if self.residual else ("prototypes",):
                what = f"the checkpoint's {kind} of domain {domain!r}"
                self._check_num_levels(what, sum(name.startswith(kind) for name in tensors))
                for level in range(len(self.sizes_hw)):
                    self._check_shape(what, level, tensors[f"{kind}{level}"])
            if not self.residual and any(name.startswith("residual") for name in tensors):
                raise UserError(f"the checkpoint has residuals for domain {domain!r}, the config has residual=False")
