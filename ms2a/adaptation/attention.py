"""One layer of the efficient adaptation module. Shapes: B images, D domains, C channels, T tokens."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ms2a.adaptation.position import sine_position_code

# Windows of the side that asks, and of the side that answers: 100 and 100 + 25 + 4 = 129 tokens.
QUERY_GRID = 10
ANSWER_GRIDS = (10, 5, 2)


class WindowTokens(nn.Module):
    """Makes tokens of the windows of a map: their means plus each window's position code at its own grid.

    Args:
        channels: C.
        grids: for each g, the map was averaged in g × g windows; T = Σ g².
        normalise: layer norm at the end.
    """

    def __init__(self, channels: int, grids: Sequence[int], normalise: bool = False):
        super().__init__()
        code = torch.cat([sine_position_code(channels, (grid, grid)).flatten(1) for grid in grids], dim=1)
        self.register_buffer("code", code.T.contiguous(), persistent=False)  # (T, C)
        self.norm = nn.LayerNorm(channels) if normalise else nn.Identity()

    def forward(self, windows: Tensor) -> Tensor:
        """Means (B, T, C) → tokens (B, T, C)."""
        return self.norm(windows + self.code)


def average_windows(maps: Tensor, grids: Sequence[int]) -> Tensor:
    """Means of (B, C, H, W) in g × g windows, for each of the grids: (B, Σ g², C)."""
    if torch.jit.is_tracing():  # ONNX has no adaptive pooling for sizes that are no multiples of the grid
        return _resample(maps.permute(0, 2, 3, 1), maps.shape[-2:], grids, _window_means)
    return torch.cat([F.adaptive_avg_pool2d(maps, grid).flatten(2).transpose(1, 2) for grid in grids], dim=1)


def upsample(points: Tensor, size_hw: Sequence[int]) -> Tensor:
    """Bilinear interpolation, corners aligned, between 10 × 10 points (B, 100, C): (B, C, H, W)."""
    maps = points.unflatten(1, (QUERY_GRID, QUERY_GRID)).permute(0, 3, 1, 2)  # in the layout of channels_last
    return F.interpolate(maps, size=tuple(size_hw), mode="bilinear", align_corners=True)


def average_windows_of_upsampled(points: Tensor, size_hw: Sequence[int], grids: Sequence[int]) -> Tensor:
    """``average_windows(upsample(points, size_hw), grids)`` without the map, as both are linear: (B, Σ g², C)."""
    # While a graph is traced a size is a value of the graph, which computes the matrix from it.
    matrix_of = _window_means_of_upsampled if torch.jit.is_tracing() else _kept_window_means_of_upsampled
    return _resample(points.unflatten(1, (QUERY_GRID, QUERY_GRID)), size_hw, grids, matrix_of)


def _resample(maps: Tensor, size_hw: Sequence[int], grids: Sequence[int], matrix_of: Callable[..., Tensor]) -> Tensor:
    """For each grid, along both axes of maps (B, H, W, C), the products with ``matrix_of(size, grid, …)``."""
    results = []
    for grid in grids:
        rows, columns = (matrix_of(size, grid, maps.dtype, maps.device) for size in size_hw)
        strips = rows @ maps.flatten(2)  # (B, grid, W·C)
        results.append((columns @ strips.unflatten(2, maps.shape[2:])).flatten(1, 2))
    return torch.cat(results, dim=1)


def _window_means(size: int, grid: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(grid, size): row i averages the cells from ⌊i·size / grid⌋ to ⌈(i + 1)·size / grid⌉."""
    number = torch.arange(grid, device=device)[:, None]
    first = number * size // grid
    last = ((number + 1) * size + grid - 1) // grid
    cells = torch.arange(size, device=device)
    return ((cells >= first) & (cells < last)).to(dtype) / (last - first)


def _window_means_of_upsampled(size: int, grid: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(grid, 10): the means of ``size`` cells interpolated between 10 points."""
    cells = torch.arange(size, device=device, dtype=torch.float32)[:, None]
    place = cells * (QUERY_GRID - 1) / (cells[-1] + (cells[-1] == 0))
    shares = (1 - (place - torch.arange(QUERY_GRID, device=device)).abs()).clamp(min=0)  # (size, 10)
    return (_window_means(size, grid, torch.float32, device) @ shares).to(dtype)


_kept_window_means_of_upsampled = lru_cache(maxsize=256)(_window_means_of_upsampled)


def attention_weights(query: Tensor, key: Tensor, num_heads: int) -> Tensor:
    """The weights that :func:`multi_head_attention` reads by, to look at: (B, heads, T, S), each row of sum 1."""
    query, key = (tokens.unflatten(2, (num_heads, -1)).transpose(1, 2) for tokens in (query, key))
    return (query @ key.transpose(2, 3)).softmax(dim=3)


def multi_head_attention(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """Softmax attention in ``num_heads`` slices of the channels; the logits are not divided by √d, as released.

    Args:
        query: (B, T, C); B may be 1 where all images ask the same.
        key: (B, S, C); B may be 1 where all images are answered by the same.
        value: as ``key``.
        num_heads: number of slices; divides C.

    Returns:
        (B, T, C).
    """
    if query.is_cuda or torch.jit.is_tracing():  # ONNX Runtime moves all weights for a softmax along another axis
        if query.is_cuda:  # the fused kernels take equal batches only
            batch = max(len(query), len(key))
            query, key, value = (tokens.expand(batch, -1, -1) for tokens in (query, key, value))
        query, key, value = (tokens.unflatten(2, (num_heads, -1)).transpose(1, 2) for tokens in (query, key, value))
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, heads, T, C / heads)
        return attended.transpose(1, 2).flatten(2)
    if len(key) == 1:  # the tokens of all images in one product
        return _attend(query.flatten(0, 1)[None], key, value, num_heads).view_as(query)
    return _attend(query, key, value, num_heads)


def _attend(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """On a CPU faster than torch's kernel, forward and backward, for heads of few channels."""
    query, key, value = (tokens.unflatten(2, (num_heads, -1)) for tokens in (query, key, value))
    # Keys come first, so that no operand has to be moved: (B, heads, S, d) @ (B, heads, d, T).
    weights = (key.transpose(1, 2) @ query.permute(0, 2, 3, 1)).softmax(dim=2)
    return (value.permute(0, 2, 3, 1) @ weights).flatten(1, 2).transpose(1, 2)


class TokenMLP(nn.Module):
    """C → hidden → C for each token, ReLU and dropout between; the weights are those of 1×1 convolutions."""

    def __init__(self, channels: int, hidden_channels: int = 512, dropout: float = 0.1):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.dropout = QuickDropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        hidden = self.dropout(self.relu(convolve_tokens(self.fc1, x)))
        return self.dropout(convolve_tokens(self.fc2, hidden))


def convolve_tokens(convolution: nn.Module, tokens: Tensor) -> Tensor:
    """A 1×1 convolution from C to C' channels, of tokens (B, T, C) → (B, T, C')."""
    if tokens.is_cuda or torch.jit.is_tracing():  # ONNX Runtime would move all elements around a convolution
        return F.linear(tokens, convolution.weight.flatten(1), convolution.bias)
    # A view in the layout of channels_last; on CPUs not by Intel faster than a matrix product by MKL.
    return convolution(tokens.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)


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
    """Windows of one side ask, windows of the other answer.

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
        asking, answering = (QUERY_GRID,), ANSWER_GRIDS
        self.feature_grids, self.memory_grids = (asking, answering) if query == "feature" else (answering, asking)
        self.asking = WindowTokens(channels, asking, normalise)
        self.answering = WindowTokens(channels, answering, normalise)
        self.scale = (channels // num_heads) ** -0.5 if normalise else 1.0
        self.q_lin = nn.Linear(channels, channels)
        self.k_lin = nn.Linear(channels, channels)
        self.v_lin = nn.Linear(channels, channels)
        self.mlp = TokenMLP(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def remember(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """All that depends on memory alone.

        Args:
            windows: means of each domain's G in windows of ``memory_grids``, (D, 129, C) where the feature asks, else
                (D, 100, C).

        Returns:
            keys and values, (D, 129, C) each, where the feature asks; queries and windows, (D, 100, C) each, where the
            memory does.
        """
        if self.query == "feature":
            return self._keys_and_values(windows)
        return self._query(windows), windows

    def forward(self, windows: Tensor, remembered: tuple[Tensor, Tensor]) -> Tensor:
        """What each image's domain's memory says about its feature map.

        Args:
            windows: means of F in windows of ``feature_grids``, (B, 100, C) where the feature asks, else (B, 129, C).
            remembered: what :meth:`remember` returned, for the domain of each of the B images, or of one for all.

        Returns:
            (B, 100, C): what, upsampled, is added to F.
        """
        q, k, v, asking = self.sides(windows, remembered)
        attended = multi_head_attention(q, k, v, self.num_heads)  # (B, 100, C)
        x = asking + attended
        # Before the upsampling, with which a 1×1 convolution commutes: there are fewer windows than locations.
        return convolve_tokens(self.out_conv, x + self.mlp(x))

    def sides(self, windows: Tensor, remembered: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries (B, 100, C), keys and values (B, 129, C), and the windows (B, 100, C) the answer is added to."""
        if self.query == "feature":
            return self._query(windows), *remembered, windows
        q, asking = remembered
        return q, *self._keys_and_values(windows), asking

    def _query(self, windows: Tensor) -> Tensor:
        query = self.q_lin(self.asking(windows))  # the residual around attention carries no position code
        return query if self.scale == 1 else query * self.scale

    def _keys_and_values(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.answering(windows)
        return self.k_lin(tokens), self.v_lin(tokens)
