"""The foreground branch: where the objects are, asked of the backbone's coarsest map. Training only."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmcv.runner import BaseModule
from mmdet.models.builder import HEADS, build_loss
from torch import Tensor, nn


def foreground_mask(boxes_xyxy: Sequence[Tensor], size_hw: tuple[int, int], stride: int = 32) -> Tensor:
    """The union of each image's boxes on a coarse grid.

    A cell belongs to a box that covers its centre; a box too small to cover any centre keeps the cell it lies in.

    Args:
        boxes_xyxy: for each image float (N, 4), in pixels of the image the network sees.
        size_hw: rows and columns of the grid.
        stride: pixels of one cell's side.

    Returns:
        float (B, 1, H, W) of zeros and ones.
    """
    height, width = size_hw
    masks = []
    for boxes in boxes_xyxy:
        rows = torch.arange(height, device=boxes.device)
        columns = torch.arange(width, device=boxes.device)
        # A cell's centre is at (i + 0.5) · stride, so a box covers the centres from round(x1 / stride) on.
        x1, y1, x2, y2 = (boxes / stride + 0.5).floor().unbind(1)
        centre_x = ((boxes[:, 0] + boxes[:, 2]) / 2 / stride).floor()
        centre_y = ((boxes[:, 1] + boxes[:, 3]) / 2 / stride).floor()
        x1, x2 = torch.minimum(x1, centre_x), torch.maximum(x2, centre_x + 1)
        y1, y2 = torch.minimum(y1, centre_y), torch.maximum(y2, centre_y + 1)
        in_rows = (rows >= y1[:, None]) & (rows < y2[:, None])  # (N, H)
        in_columns = (columns >= x1[:, None]) & (columns < x2[:, None])  # (N, W)
        masks.append((in_rows[:, :, None] & in_columns[:, None, :]).any(0))
    return torch.stack(masks)[:, None].float()


@HEADS.register_module()
class ForegroundBranch(BaseModule):
    """conv3x3(C5 → hidden) + BN + Swish, then conv1x1 to one logit per cell, and its loss.

    Args:
        in_channels: channels of the backbone's stride-32 map.
        hidden_channels: channels between the two convolutions.
        stride: pixels of one cell's side.
        loss: config of the mask loss, mmdet's ``DiceLoss`` in the recipes.
        init_cfg: as everywhere in mmcv.
    """

    def __init__(
        self,
        in_channels: int,
        loss: dict,
        hidden_channels: int = 64,
        stride: int = 32,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        norm, swish = dict(type="BN", momentum=0.03, eps=1e-3), dict(type="SiLU")
        self.hidden = ConvModule(in_channels, hidden_channels, 3, padding=1, norm_cfg=norm, act_cfg=swish)
        self.predict = nn.Conv2d(hidden_channels, 1, 1)
        self.stride = stride
        self.mask_loss = build_loss(loss)

    def forward(self, c5: Tensor) -> Tensor:
        """(B, C, H, W) → foreground logits (B, 1, H, W)."""
        return self.predict(self.hidden(c5))

    def loss(self, c5: Tensor, boxes_xyxy: Sequence[Tensor]) -> Tensor:
        """The foreground mask loss.

        Args:
            c5: the backbone's stride-32 map, (B, C, H, W).
            boxes_xyxy: for each image the ground truth (N, 4), in pixels of the image the network saw.

        Returns:
            scalar.
        """
        logits = self(c5).float()
        mask = foreground_mask(boxes_xyxy, logits.shape[-2:], self.stride)
        return self.mask_loss(logits, mask)
