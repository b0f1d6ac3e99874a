"""How numbers and tables of a report are written."""

import numpy as np
from terminaltables import GithubFlavoredMarkdownTable


def markdown(title: str, table: list[list]) -> str:
    """A table below its heading."""
    return f"### {title}\n\n{GithubFlavoredMarkdownTable(table).table}\n"


def signed(difference: tuple[float, float]) -> str:
    """What :func:`paired_difference` gives, "–" where there are no pairs."""
    return "–" if np.isnan(difference[0]) else with_spread(difference, "+.1f")


def with_spread(value: tuple[float, float], form: str = ".1f") -> str:
    """Mean ± deviation, or half of an interval; "–" for what is NaN."""
    mean, spread = (
        "–" if np.isnan(number) else format(number, how) for number, how in zip(value, (form, ".1f"), strict=True)
    )
    return f"{mean} ± {spread}"
