"""Hooks, devices and processes, and the compatibility module; ``ms2a.plugin`` registers what configs name."""
