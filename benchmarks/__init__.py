"""One script for each claim of speed or memory; ``make bench`` runs them all."""

import ms2a  # noqa: F401  # before mmdet: it provides mmcv's operators where none are compiled
