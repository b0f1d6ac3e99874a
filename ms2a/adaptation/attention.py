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
    """Makes tokens of the windows of a map: their means, and each window's position code at its own grid.

    Args:
        channels: C.
        grids: for each g, the maps are averaged in g × g windows; T = Σ g².
        normalise: layer norm at the end.
    """

    def __init__(self, channels: int, grids: Sequence[int], normalise: bool = False):
        super().__init__()
        self.grids = tuple(grids)
        code = torch.cat([sine_position_code(channels, (grid, grid)).flatten(1) for grid in grids], dim=1)
        self.register_buffer("code", code.T.contiguous(), persistent=False)  # (T, C)
        self.norm = nn.LayerNorm(channels) if normalise else nn.Identity()

    def windows(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → means, (B, T, C)."""
        return torch.cat([average_windows(maps, grid) for grid in self.grids], dim=1)

    def forward(self, windows: Tensor) -> Tensor:
        """Means (B, T, C) → tokens (B, T, C)."""
        return self.norm(windows + self.code)


def average_windows(maps: Tensor, grid: int) -> Tensor:
    """``adaptive_avg_pool2d`` of (B, C, H, W) to grid × grid windows, (B, grid², C), as two matrix products.

    ONNX has no adaptive pooling for sizes that are no multiples of the grid.
    """
    # While a graph is traced a size is a value of the graph, from which it computes the windows.
    means = _window_means if torch.jit.is_tracing() else _kept_window_means
    rows, columns = (means(size, grid, maps.dtype, maps.device) for size in maps.shape[-2:])
    width, channels = maps.shape[3], maps.shape[1]
    # In the layout of channels_last no element has to be moved for these products.
    strips = rows @ maps.permute(0, 2, 3, 1).flatten(2)  # (B, grid, W·C)
    return (columns @ strips.unflatten(2, (width, channels))).flatten(1, 2)


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
    """C → hidden → C for each token, ReLU and dropout between; the weights are those of 1×1 convolutions."""

    def __init__(self, channels: int, hidden_channels: int = 512, dropout: float = 0.1):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.dropout = QuickDropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        return self.dropout(convolve_tokens(self.fc2, self.dropout(convolve_tokens(self.fc1, x).relu_())))


def convolve_tokens(convolution: nn.Conv2d, tokens: Tensor) -> Tensor:
    """A 1×1 convolution from C to C' channels, of tokens (B, T, C) → (B, T, C')."""
    return F.linear(tokens, convolution.weight.flatten(1), convolution.bias)


class QuickDropout(nn.Dropout):
    """Dropout that on a CPU spends 16 random bits on an element, a quarter of the time; p in steps of 2⁻¹⁶."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeroes elements with probability p and scales the others by 1 / (1 - p); in evaluation the identity."""
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        limits = torch.iinfo(torch.int64)
        words = torch.randint(limits.min, limits.max, (-(-x.numel() // 4),))
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        kept = bits >= round(self.p * 2**16) - 2**15
        return x * (kept.to(x.dtype) / (1 - self.p))


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
        self.asking = WindowTokens(channels, [QUERY_GRID], normalise)
        self.answering = WindowTokens(channels, ANSWER_GRIDS, normalise)
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
            return self._keys_and_values(memory)
        return self._queries_and_windows(memory)

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
        x = windows + attended
        # Before the upsampling, with which a 1×1 convolution commutes: there are fewer windows than locations.
        x = convolve_tokens(self.out_conv, x + self.mlp(x))
        x = x.transpose(1, 2).unflatten(2, (QUERY_GRID, QUERY_GRID))
        return feature + F.interpolate(x, size=feature.shape[-2:], mode="bilinear", align_corners=True)

    def sides(self, feature: Tensor, remembered: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries (B, 100, C), keys and values (B, 129, C), and the windows (B, 100, C) the answer is added to."""
        if self.query == "feature":
            q, windows = self._queries_and_windows(feature)
            return q, *remembered, windows
        q, windows = remembered
        return q, *self._keys_and_values(feature), windows

    def _queries_and_windows(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        windows = self.asking.windows(maps)  # the residual around attention carries no position code
        return self.q_lin(self.asking(windows)), windows

    def _keys_and_values(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.answering(self.answering.windows(maps))
        return self.k_lin(tokens), self.v_lin(tokens)
