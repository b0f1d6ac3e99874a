"""What is said of the scores of several seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The deviation is of the sample, NaN of one value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def paired_difference(scores: Mapping[Any, float], others: Mapping[Any, float]) -> tuple[float, float]:
    """Mean difference over common keys, and half of its 95 % interval (Student's t).

    Args:
        scores: by what pairs them, e.g. the seed.
        others: likewise; they are subtracted.

    Returns:
        both NaN without a common key, the second NaN with one.
    """
    differences = [score - others[key] for key, score in scores.items() if key in others]
    if len(differences) < 2:
        return (differences[0] if differences else float("nan")), float("nan")
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    return float(np.mean(differences)), float(high - low) / 2
