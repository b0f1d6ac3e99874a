"""One layer of the efficient adaptation module. Shapes: B images, D domains, C channels, T tokens."""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ms2a.adaptation.position import sine_position_code

# Windows of the side that asks, and of the side that answers: 100 and 100 + 25 + 4 = 129 tokens.
QUERY_GRID = 10
ANSWER_GRIDS = (10, 5, 2)


class WindowTokens(nn.Module):
    """Pools maps to windows and adds each window's position code at its own grid.

    Args:
        channels: C.
        grids: for each g, the maps are averaged in g × g windows; T = Σ g².
    """

    def __init__(self, channels: int, grids: Sequence[int]):
        super().__init__()
        self.grids = tuple(grids)
        code = torch.cat([sine_position_code(channels, (grid, grid)).flatten(1) for grid in grids], dim=1)
        self.register_buffer("code", code, persistent=False)  # (C, T)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B, T, C)."""
        windows = [average_windows(maps, grid).flatten(2) for grid in self.grids]
        return (torch.cat(windows, dim=2) + self.code).transpose(1, 2)


def _tokens(channels: int, grids: Sequence[int], normalise: bool) -> nn.Module:
    tokens = WindowTokens(channels, grids)
    return nn.Sequential(tokens, nn.LayerNorm(channels)) if normalise else tokens


def average_windows(maps: Tensor, grid: int) -> Tensor:
    """``adaptive_avg_pool2d`` to (B, C, grid, grid), as two matrix products.

    ONNX has no adaptive pooling for sizes that are no multiples of the grid.
    """
    # While a graph is traced a size is a value of the graph, from which it computes the windows.
    means = _window_means if torch.jit.is_tracing() else _kept_window_means
    rows, columns = (means(size, grid, maps.dtype, maps.device) for size in maps.shape[-2:])
    return rows @ maps @ columns.T


def _window_means(size: int, grid: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(grid, size): row i averages the cells from ⌊i·size / grid⌋ to ⌈(i + 1)·size / grid⌉."""
    number = torch.arange(grid, device=device)[:, None]
    first = number * size // grid
    last = ((number + 1) * size + grid - 1) // grid
    cells = torch.arange(size, device=device)
    return ((cells >= first) & (cells < last)).to(dtype) / (last - first)


_kept_window_means = lru_cache(maxsize=256)(_window_means)


def attention_weights(query: Tensor, key: Tensor, num_heads: int) -> Tensor:
    """The weights that :func:`multi_head_attention` reads by, to look at: (B, heads, T, S), each row of sum 1."""
    query, key = (tokens.unflatten(2, (num_heads, -1)).transpose(1, 2) for tokens in (query, key))
    return (query @ key.transpose(2, 3)).softmax(dim=3)


def multi_head_attention(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """Softmax attention in ``num_heads`` slices of the channels; the logits are not divided by √d, as released.

    Args:
        query: (B, T, C).
        key: (B, S, C).
        value: (B, S, C).
        num_heads: number of slices; divides C.

    Returns:
        (B, T, C).
    """

    def split(tokens: Tensor) -> Tensor:  # (B, T, C) -> (B, heads, T, C / heads)
        return tokens.unflatten(2, (num_heads, -1)).transpose(1, 2)

    attended = F.scaled_dot_product_attention(split(query), split(key), split(value), scale=1.0)
    return attended.transpose(1, 2).flatten(2)


class TokenMLP(nn.Module):
    """C → hidden → C by 1×1 convolutions, ReLU and dropout between."""

    def __init__(self, channels: int, hidden_channels: int = 512, dropout: float = 0.1):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h, w)."""
        return self.dropout(self.fc2(self.dropout(self.fc1(x).relu())))


class AdaptationLayer(nn.Module):
    """Windows of one side ask, windows of the other answer, the answer is added to the feature map.

    Args:
        channels: C of both sides, a multiple of ``num_heads`` and of 4.
        query: ``"feature"`` (windows of the feature ask, windows of the memory answer; paper, EAM figure) or
            ``"memory"`` (the other way round; the released weights).
        num_heads: attention heads.
        normalise: layer norm on the tokens of both sides, and logits divided by √d; as released, neither.

    Raises:
        ValueError: ``query`` is neither of the two names, or ``num_heads`` does not divide ``channels``.
    """

    def __init__(self, channels: int, query: str = "feature", num_heads: int = 8, normalise: bool = False):
        super().__init__()
        if query not in ("feature", "memory"):
            raise ValueError(f"query is {query!r}, expected 'feature' or 'memory'")
        if channels % num_heads:
            raise ValueError(f"channels is {channels}, expected a multiple of num_heads={num_heads}")
        self.query, self.num_heads = query, num_heads
        self.asking = _tokens(channels, [QUERY_GRID], normalise)
        self.answering = _tokens(channels, ANSWER_GRIDS, normalise)
        self.scale = (channels // num_heads) ** -0.5 if normalise else 1.0
        self.q_lin = nn.Linear(channels, channels)
        self.k_lin = nn.Linear(channels, channels)
        self.v_lin = nn.Linear(channels, channels)
        self.mlp = TokenMLP(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """All that depends on memory alone.

        Args:
            memory: G, (D, C, h, w), one for each domain.

        Returns:
            keys and values, (D, 129, C) each, where the feature asks; queries and windows, (D, 100, C) each, where the
            memory does.
        """
        if self.query == "feature":
            tokens = self.answering(memory)
            return self.k_lin(tokens), self.v_lin(tokens)
        return self.q_lin(self.asking(memory)), self._windows(memory)

    def forward(self, feature: Tensor, remembered: tuple[Tensor, Tensor]) -> Tensor:
        """Adds to each image's feature map what its domain's memory says about it.

        Args:
            feature: F, (B, C, H, W).
            remembered: what :meth:`remember` returned, for the domain of each of the B images.

        Returns:
            (B, C, H, W).
        """
        q, k, v, windows = self.sides(feature, remembered)
        attended = multi_head_attention(q * self.scale, k, v, self.num_heads)  # (B, 100, C)
        x = (windows + attended).transpose(1, 2).unflatten(2, (QUERY_GRID, QUERY_GRID))
        x = x + self.mlp(x)
        x = F.interpolate(x, size=feature.shape[-2:], mode="bilinear", align_corners=True)
        return feature + self.out_conv(x)

    def sides(self, feature: Tensor, remembered: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries (B, 100, C), keys and values (B, 129, C), and the windows (B, 100, C) the answer is added to."""
        if self.query == "feature":
            return self.q_lin(self.asking(feature)), *remembered, self._windows(feature)
        q, windows = remembered
        tokens = self.answering(feature)
        return q, self.k_lin(tokens), self.v_lin(tokens), windows

    @staticmethod
    def _windows(maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B, 100, C); the residual around attention carries no position code."""
        return average_windows(maps, QUERY_GRID).flatten(2).transpose(1, 2)
