"""Hooks, the distributed wrapper and the compatibility module."""
