"""The 2-D sine position code of the pooled tokens."""

import torch
from torch import Tensor


def sine_position_code(channels: int, size_hw: tuple[int, int], temperature: float = 1e4) -> Tensor:
    """A fixed code for every cell of a grid: C/2 channels for its row, then C/2 for its column.

    Rows and columns are counted from 1 and not normalised; in each half sine and cosine interleave
    (Carion 2020, DETR, appendix; without normalisation).

    Args:
        channels: C, a multiple of 4.
        size_hw: rows and columns of the grid.
        temperature: base of the wavelengths.

    Returns:
        float32 tensor (C, H, W).

    Raises:
        ValueError: ``channels`` is not a multiple of 4.
    """
    if channels % 4:
        raise ValueError(f"channels is {channels}, expected a multiple of 4: half for rows, half for columns")
    height, width = size_hw
    half = channels // 2
    frequency = temperature ** (-2 * torch.div(torch.arange(half), 2, rounding_mode="floor") / half)  # (C/2,)

    def encode(length: int) -> Tensor:
        angle = torch.arange(1, length + 1)[None] * frequency[:, None]  # (C/2, length)
        return torch.stack([angle[0::2].sin(), angle[1::2].cos()], dim=1).flatten(0, 1)

    rows = encode(height)[:, :, None].expand(half, height, width)
    columns = encode(width)[:, None, :].expand(half, height, width)
    return torch.cat([rows, columns])
