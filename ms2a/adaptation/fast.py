"""The adaptation module made fast: the function of ``eam.py`` with its weights, to rounding.

The equation stands in ``eam.py`` and ``attention.py``. Every trick that makes it fast stands here:

* All that depends on the memory alone is computed apart (``remember``): once per domain, not once per image.
* A layer sees windows of the map only, and averaging, upsampling and 1×1 convolutions are linear. So the windows of
  what a layer adds follow from its 100 points by small matrices, and the map itself is made once, at the end.
* On a CPU attention is two plain products, keys first; the MLP's convolutions are oneDNN's; dropout takes 16 random
  bits an element.
* On a GPU attention is torch's kernel, and 1×1 convolutions are matrix products. A traced graph takes the operators
  that ONNX Runtime is fast at, and the sizes of its maps are values of the graph.

Shapes: B images, D domains, C channels, T tokens.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ms2a.adaptation import attention
from ms2a.adaptation.attention import ANSWER_GRIDS, QUERY_GRID, AdaptationLayer, TokenMLP, upsample
from ms2a.adaptation.eam import EfficientAdaptation


def accelerate(module: EfficientAdaptation) -> "FastAdaptation":
    """The same weights in the fast form, with the same names in the state dict.

    Args:
        module: the plain form; its parts are shared, not copied.
    """
    return FastAdaptation(module).train(module.training)


class FastAdaptation(nn.Module):
    """:class:`EfficientAdaptation` in two steps, :meth:`remember` and :meth:`forward`.

    Args:
        plain: whose parts these are.
    """

    def __init__(self, plain: EfficientAdaptation):
        super().__init__()
        self.project_feature = plain.project_feature
        self.project_memory = plain.project_memory
        self.layers = nn.ModuleList(FastLayer(layer) for layer in plain.layers)
        self.project_out = plain.project_out

    def remember(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """All that depends on memory alone, for each layer, see :meth:`FastLayer.remember`.

        Args:
            memory: M_l = Z_l + R_l, (D, K, h, w), one for each domain.
        """
        windows = average_windows(self.project_memory(memory), self.layers[0].memory_grids)
        return [layer.remember(windows) for layer in self.layers]

    def forward(self, feature: Tensor, remembered: list[tuple[Tensor, Tensor]], domain_index: Tensor) -> Tensor:
        """Adapts a neck map.

        Args:
            feature: P_l, (B, C, H, W).
            remembered: what :meth:`remember` returned for the D domains.
            domain_index: int64 (B,), which of the D each image reads.

        Returns:
            the map that replaces P_l, (B, C, H, W).
        """
        adapted = self.project_feature(feature)
        size_hw, grids = adapted.shape[-2:], self.layers[0].feature_grids
        windows, answers = average_windows(adapted, grids), []
        for layer, parts in zip(self.layers, remembered, strict=True):
            if answers:
                windows = windows + average_windows_of_upsampled(answers[-1], size_hw, grids)
            answers.append(layer(windows, select_domains(parts, domain_index)))
        adapted = adapted + upsample(sum(answers[1:], answers[0]), size_hw)
        return adapted if self.project_out is None else feature + self.project_out(adapted)


class FastLayer(nn.Module):
    """:class:`AdaptationLayer` from windows to windows.

    Args:
        plain: whose parts these are.
    """

    def __init__(self, plain: AdaptationLayer):
        super().__init__()
        self.query, self.num_heads, self.scale = plain.query, plain.num_heads, plain.scale
        asking, answering = (QUERY_GRID,), ANSWER_GRIDS
        self.feature_grids, self.memory_grids = (asking, answering) if self.query == "feature" else (answering, asking)
        self.asking, self.answering = plain.asking, plain.answering
        self.q_lin, self.k_lin, self.v_lin = plain.q_lin, plain.k_lin, plain.v_lin
        self.mlp = FastMLP(plain.mlp)
        self.out_conv = plain.out_conv

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


class FastMLP(nn.Module):
    """:class:`TokenMLP` with :func:`convolve_tokens` and :class:`QuickDropout`.

    Args:
        plain: whose parts these are.
    """

    def __init__(self, plain: TokenMLP):
        super().__init__()
        self.fc1, self.relu, self.fc2 = plain.fc1, plain.relu, plain.fc2
        self.dropout = QuickDropout(plain.dropout.p)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        hidden = self.dropout(self.relu(convolve_tokens(self.fc1, x)))
        return self.dropout(convolve_tokens(self.fc2, hidden))


def is_traced() -> bool:
    """Whether a graph is being made, by tracing or by torch.export; then sizes are values of the graph."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def select_domains(parts: tuple[Tensor, Tensor], domain_index: Tensor) -> tuple[Tensor, ...]:
    """What each image reads, (B, …), of parts (D, …); (1, …) where all read the same domain."""
    # Indexing by brackets would add up the gradient element by element.
    return tuple(part if len(part) == 1 else part.index_select(0, domain_index) for part in parts)


def multi_head_attention(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """As in ``attention.py``; B may be 1 where all images ask the same, or are answered by the same."""
    if query.is_cuda or is_traced():  # ONNX Runtime moves all weights for a softmax along another axis
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


def convolve_tokens(convolution: nn.Module, tokens: Tensor) -> Tensor:
    """A 1×1 convolution from C to C' channels, of tokens (B, T, C) → (B, T, C')."""
    if tokens.is_cuda or is_traced():  # ONNX Runtime would move all elements around a convolution
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


def average_windows(maps: Tensor, grids: Sequence[int]) -> Tensor:
    """As in ``attention.py``; ONNX has no adaptive pooling for sizes that are no multiples of the grid."""
    if is_traced():
        return _resample(maps.permute(0, 2, 3, 1), maps.shape[-2:], grids, _window_means)
    return attention.average_windows(maps, grids)


def average_windows_of_upsampled(points: Tensor, size_hw: Sequence[int], grids: Sequence[int]) -> Tensor:
    """``average_windows(upsample(points, size_hw), grids)`` without the map, as both are linear: (B, Σ g², C)."""
    # While a graph is traced a size is a value of the graph, which computes the matrix from it.
    matrix_of = _window_means_of_upsampled if is_traced() else _kept_window_means_of_upsampled
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


@lru_cache(maxsize=256)
def _kept_window_means_of_upsampled(size: int, grid: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Made as if there were no context: it serves later calls, of another precision or with gradients.
    known = torch.amp.is_autocast_available(device.type)  # not on every device
    with torch.inference_mode(False), torch.autocast(device.type if known else "cpu", enabled=False):
        return _window_means_of_upsampled(size, grid, dtype, device)
