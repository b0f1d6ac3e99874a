"""1×1 convolutions by oneDNN on one thread too."""

import torch
from torch import nn

# With fewer output channels oneDNN is no faster.
FEWEST_CHANNELS = 8


def prefer_onednn(model: nn.Module) -> int:
    """Lets oneDNN do the 1×1 convolutions of a detector that trains on one thread of a CPU.

    There torch takes another library for them, unless a batch has 16 images or the kernel is dilated. Dilation means
    nothing to a kernel of one place: results are the same to rounding. With more threads nothing is changed.

    Args:
        model: the detector, on the CPU.

    Returns:
        how many convolutions were changed.
    """
    if torch.get_num_threads() > 1:
        return 0
    convolutions = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and (module.kernel_size, module.stride, module.groups) == ((1, 1), (1, 1), 1)
        and module.out_channels >= FEWEST_CHANNELS
    ]
    for convolution in convolutions:
        convolution.dilation = (2, 2)
    return len(convolutions)
