"""Hooks, devices and processes, and the compatibility module."""

from ms2a.engine.console import ConsoleHook
from ms2a.engine.divergence import DivergenceHook
from ms2a.engine.hooks import (
    EpochSeedHook,
    FrozenBatchNormHook,
    MemoryEMAHook,
    ModeSwitchHook,
    PreciseNormHook,
    freeze_all_but,
)
from ms2a.engine.optimizer import PlainNormConstructor
from ms2a.engine.training_csv import CsvLoggerHook

__all__ = [
    "ConsoleHook",
    "CsvLoggerHook",
    "DivergenceHook",
    "EpochSeedHook",
    "FrozenBatchNormHook",
    "MemoryEMAHook",
    "ModeSwitchHook",
    "PlainNormConstructor",
    "PreciseNormHook",
    "freeze_all_but",
]
