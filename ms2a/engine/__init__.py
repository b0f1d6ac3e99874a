"""Hooks, devices and processes, and the compatibility module."""

from ms2a.engine.hooks import EpochSeedHook, FrozenBatchNormHook, MemoryEMAHook, ModeSwitchHook, freeze_all_but
from ms2a.engine.optimizer import PlainNormConstructor

__all__ = [
    "EpochSeedHook",
    "FrozenBatchNormHook",
    "MemoryEMAHook",
    "ModeSwitchHook",
    "PlainNormConstructor",
    "freeze_all_but",
]
