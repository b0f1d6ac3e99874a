"""Runs before any test module imports mmcv's operators, which MS2A provides where none are compiled."""

import ms2a  # noqa: F401
