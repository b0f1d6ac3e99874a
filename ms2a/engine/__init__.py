"""Hooks, devices and processes, and the compatibility module."""

from ms2a.engine.hooks import EpochSeedHook, FrozenBatchNormHook, ModeSwitchHook, freeze_all_but

__all__ = ["EpochSeedHook", "FrozenBatchNormHook", "ModeSwitchHook", "freeze_all_but"]
