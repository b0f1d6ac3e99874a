"""What tells one line of the benchmark's results from another."""

import json
from collections.abc import Mapping
from typing import Any

# What former versions ran, and what names of files do not say.
USUAL = dict(iterations=240, detector="small", weights=None)
# What tells a run's line from others, besides its options.
PLACE = ("source", "task", "shots", "method", "seed", "iterations", "detector", "weights")
# What a method can be, in the order of tables.
KINDS = ("bound", "baseline", "method", "control")
# What people call the scores of a line, and what it calls them.
SCORES = {
    "mAP": "target mAP",
    "mAP50": "target mAP_50",
    "source-mAP": "source mAP",
    "source-mAP50": "source mAP_50",
}


def key_of(line: Mapping[str, Any]) -> tuple:
    """What tells a line, or the place of one that is to be, from others."""
    return *(line[name] for name in PLACE), options_of(line)


def options_of(line: Mapping[str, Any]) -> str:
    """The options of a line as on a command line, empty for none."""
    options = line.get("cfg_options") or {}
    return " ".join(f"{name}={json.dumps(value)}" for name, value in sorted(options.items()))
