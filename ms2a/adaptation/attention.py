"""One layer of the efficient adaptation module. Shapes: B images, C channels, T and S tokens."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ms2a.adaptation.position import sine_position_code

# Windows of the side that asks, and of the side that answers: 100 and 100 + 25 + 4 = 129 tokens.
QUERY_GRID = 10
ANSWER_GRIDS = (10, 5, 2)


def average_windows(maps: Tensor, grids: Sequence[int]) -> Tensor:
    """Means of (B, C, H, W) in g × g windows, for each of the grids: (B, Σ g², C)."""
    return torch.cat([F.adaptive_avg_pool2d(maps, grid).flatten(2).transpose(1, 2) for grid in grids], dim=1)


def upsample(windows: Tensor, size_hw: Sequence[int]) -> Tensor:
    """Bilinear interpolation, corners aligned, between 10 × 10 windows (B, 100, C): (B, C, H, W)."""
    maps = windows.unflatten(1, (QUERY_GRID, QUERY_GRID)).permute(0, 3, 1, 2)  # in the layout of channels_last
    return F.interpolate(maps, size=tuple(size_hw), mode="bilinear", align_corners=True)


def attention_weights(query: Tensor, key: Tensor, num_heads: int) -> Tensor:
    """The weights that :func:`multi_head_attention` reads by: (B, heads, T, S), each row of sum 1."""
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
    value = value.unflatten(2, (num_heads, -1)).transpose(1, 2)  # (B, heads, S, C / heads)
    attended = attention_weights(query, key, num_heads) @ value  # (B, heads, T, C / heads)
    return attended.transpose(1, 2).flatten(2)


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


class TokenMLP(nn.Module):
    """C → hidden → C for each token, ReLU and dropout between; the weights are those of 1×1 convolutions."""

    def __init__(self, channels: int, hidden_channels: int = 512, dropout: float = 0.1):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        x = x.transpose(1, 2).unsqueeze(3)  # (B, C, T, 1)
        x = self.dropout(self.fc2(self.dropout(self.relu(self.fc1(x)))))
        return x.squeeze(3).transpose(1, 2)


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
        self.asking = WindowTokens(channels, (QUERY_GRID,), normalise)
        self.answering = WindowTokens(channels, ANSWER_GRIDS, normalise)
        self.scale = (channels // num_heads) ** -0.5 if normalise else 1.0
        self.q_lin = nn.Linear(channels, channels)
        self.k_lin = nn.Linear(channels, channels)
        self.v_lin = nn.Linear(channels, channels)
        self.mlp = TokenMLP(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, feature: Tensor, memory: Tensor) -> Tensor:
        """What the memory of each image's domain says about its feature map.

        Args:
            feature: F, (B, C, H, W).
            memory: G, (B, C, h, w).

        Returns:
            (B, C, H, W): what is added to F.
        """
        asking, answering = (feature, memory) if self.query == "feature" else (memory, feature)
        windows = average_windows(asking, (QUERY_GRID,))  # (B, 100, C)
        tokens = self.answering(average_windows(answering, ANSWER_GRIDS))  # (B, 129, C)
        q = self.q_lin(self.asking(windows)) * self.scale
        k, v = self.k_lin(tokens), self.v_lin(tokens)
        x = windows + multi_head_attention(q, k, v, self.num_heads)  # these windows carry no position code
        x = x + self.mlp(x)  # (B, 100, C)
        return self.out_conv(upsample(x, feature.shape[-2:]))
