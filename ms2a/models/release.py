"""Weights of the authors' release, and of anyone who trained with their code, renamed for this detector."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from ms2a.errors import UserError

# Patterns of the release's keys and what they are called here; {l} level, {i} adaptation layer.
_RENAMES = [
    (r"bbox_head\.relation_nets\.(\d)\.input_conv1\.(conv|bn)\.", r"adapter.levels.\1.project_feature.\2."),
    (r"bbox_head\.relation_nets\.(\d)\.input_conv2\.(conv|bn)\.", r"adapter.levels.\1.project_memory.\2."),
    (r"bbox_head\.relation_nets\.(\d)\.attentions\.(\d+)\.", r"adapter.levels.\1.layers.\2."),
    (r"bbox_head\.conv_fg\.0\.", "foreground.hidden."),
    (r"bbox_head\.conv_fg\.1\.", "foreground.predict."),
]
_MEMORY = re.compile(r"bbox_head\.clus_(m_)?(\d+)\.feats(\d)")


def convert_release(state_dict: Mapping[str, Tensor], domains: Sequence[str]) -> dict[str, Tensor]:
    """Renames the release's state dict for :class:`ms2a.models.MS2AYOLOX` with ``query="memory"``.

    Args:
        state_dict: the release's; buffers of its moving average (``ema_*``) are left out.
        domains: names for the release's numbered domains, source first.

    Returns:
        the renamed state dict; values are not copied.

    Raises:
        UserError: it holds no memory, or another number of domains than named.
    """
    converted = {}
    numbers = set()
    for key, value in state_dict.items():
        if key.startswith("ema_"):
            continue
        memory = _MEMORY.fullmatch(key)
        if memory:
            residual, number, level = memory.groups()
            numbers.add(int(number))
            domain = domains[int(number)] if int(number) < len(domains) else number
            name = "residual" if residual else "prototypes"
            key = f"adapter.memory.memories.{domain}.{name}{int(level) - 1}"
        for pattern, replacement in _RENAMES:
            key = re.sub(rf"^{pattern}", replacement, key)
        converted[key] = value
    if numbers != set(range(len(domains))):
        raise UserError(
            f"the checkpoint holds the memories of {len(numbers)} domains, {len(domains)} were named "
            f"({', '.join(domains)}); name them all with `domains`, source first"
        )
    return converted


def describe(state_dict: Mapping[str, Tensor]) -> str:
    """What a config must say to build the detector of a converted state dict."""
    channels = state_dict["adapter.levels.0.project_feature.conv.weight"].shape[0]
    num_layers = len({key.split(".")[4] for key in state_dict if key.startswith("adapter.levels.0.layers.")})
    classes = state_dict["bbox_head.multi_level_conv_cls.0.weight"].shape[0]
    prototypes = {
        key: tuple(value.shape) for key, value in state_dict.items() if re.search(r"memories\..*\.prototypes\d$", key)
    }
    domains = list(dict.fromkeys(key.split(".")[3] for key in prototypes))
    shapes = [shape for key, shape in prototypes.items() if key.split(".")[3] == domains[0]]
    return (
        f"num_classes={classes}\nadapter=dict(type='MemoryAdapter', channels={channels}, query='memory', "
        f"num_layers={num_layers},\n    memory=dict(domains={domains}, num_prototypes={shapes[0][0]}, "
        f"sizes_hw={[shape[1:] for shape in shapes]}))"
    )
