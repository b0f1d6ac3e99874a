"""A checkpoint's weights alone, in half precision, to hand on."""

import os

import torch

from ms2a.artefacts import provenance, save_torch
from ms2a.engine.checkpoint import read_checkpoint


def slim(checkpoint: str | os.PathLike, out: str | os.PathLike) -> int:
    """Writes a checkpoint's weights in half precision, without optimizer and moving average, with its class names.

    Loading brings them back to the precision of the detector; an eleventh bit of the mantissa and later ones are lost.

    Args:
        checkpoint: a file that training wrote.
        out: where to write.

    Returns:
        the file's size in bytes.

    Raises:
        UserError: the checkpoint is missing or holds no weights.
    """
    content = read_checkpoint(checkpoint)
    weights = {
        name: value.half() if torch.is_floating_point(value) else value for name, value in content["state_dict"].items()
    }
    kept = ("CLASSES", "epoch", "iter", "seed")
    meta = {key: content["meta"][key] for key in kept if key in content["meta"]}
    save_torch(dict(state_dict=weights, meta={**meta, "provenance": provenance()}), out)
    return os.path.getsize(out)
