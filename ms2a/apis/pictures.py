"""Pictures in memory, in the forms that people have them, as the network's input form."""

import os
from typing import Any

import mmcv
import numpy as np
import torch

from ms2a.datasets.readable import is_readable, unreadable
from ms2a.errors import UserError

EXPECTED = (
    "expected a path, a uint8 array (H, W, 3) in BGR or (H, W) in grey, a PIL image, or a torch tensor (3, H, W) in "
    "RGB, uint8 in 0-255 or float in 0-1"
)


def is_path(picture: Any) -> bool:
    """Whether a picture is given by its file."""
    return isinstance(picture, str | os.PathLike)


def as_bgr(picture: Any) -> np.ndarray:
    """A picture as OpenCV gives it.

    Args:
        picture: one of

            * a path;
            * an array, uint8, (H, W, 3) in BGR as ``cv2.imread`` gives it, or (H, W) in grey;
            * a PIL image of 8 bits a channel; it is turned as its EXIF data say, as OpenCV does on reading a file;
            * a torch tensor, (3, H, W) or (1, H, W), RGB or grey, uint8 in 0–255 or float in 0–1, as
              ``torchvision.io.read_image`` and ``torchvision.transforms.ToTensor`` give it.

    Returns:
        (H, W, 3) uint8, BGR, contiguous.

    Raises:
        UserError: it is none of these, or the file is missing or unreadable.
    """
    if is_path(picture):
        if not is_readable(picture):
            raise unreadable(picture)
        return mmcv.imread(str(picture))
    if isinstance(picture, torch.Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if hasattr(picture, "getexif"):  # PIL need not be installed
        return _from_pil(picture)
    raise UserError(f"picture of type {type(picture).__name__}: {EXPECTED}")


def _from_array(array: np.ndarray) -> np.ndarray:
    grey = array.ndim == 2
    if array.dtype != np.uint8 or not (grey or array.ndim == 3 and array.shape[2] == 3) or not array.size:
        raise UserError(f"array of shape {array.shape} and type {array.dtype}: {EXPECTED}")
    return np.ascontiguousarray(np.repeat(array[..., None], 3, axis=2) if grey else array)


def _from_tensor(tensor: torch.Tensor) -> np.ndarray:
    is_float = tensor.is_floating_point()
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3) or not (is_float or tensor.dtype == torch.uint8):
        raise UserError(f"tensor of shape {tuple(tensor.shape)} and type {tensor.dtype}: {EXPECTED}")
    tensor = tensor.detach().cpu()
    if is_float:
        low, high = tensor.aminmax() if tensor.numel() else (0, 1)
        if not (low >= 0 and high <= 1):
            raise UserError(f"float tensor with values from {low:g} to {high:g}: {EXPECTED}")
        tensor = (tensor.float() * 255).round().byte()
    rgb = tensor.permute(1, 2, 0).numpy()
    return _from_array(rgb[..., ::-1] if rgb.shape[2] == 3 else rgb[..., 0])


def _from_pil(image: Any) -> np.ndarray:
    from PIL import ImageOps

    if image.mode[0] in "IF":  # 16 or 32 bits, which a conversion to RGB clips
        raise UserError(f"PIL image of mode {image.mode}, expected 8 bits a channel; scale it to 0-255 first")
    return _from_array(np.asarray(ImageOps.exif_transpose(image).convert("RGB"))[..., ::-1])
