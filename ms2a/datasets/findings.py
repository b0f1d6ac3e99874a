"""What was dropped, clipped, enclosed or assumed while data were read: each kind told once, with a count."""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ms2a.errors import UserError

logger = logging.getLogger("mmdet")

Severity = Literal["note", "warning", "error"]
"""A note changes nothing that matters; a warning may cost accuracy; with an error the data cannot be used."""


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was noticed in a set of annotated images.

    Args:
        severity: see :data:`Severity`.
        what: what was noticed and what was done about it, without the number.
        count: how many times.
        example: where it was seen first.
        remedy: what the user can do; empty where nothing need be done.
    """

    severity: Severity
    what: str
    count: int = 1
    example: str = ""
    remedy: str = ""

    def line(self) -> str:
        """The finding as one line for people."""
        first = "e.g. " if self.count > 1 else ""
        example = f" ({first}{self.example})" if self.example else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.what}: {self.count}{example}{remedy}"


class Findings:
    """A collection in the order of first sight; what is noticed again is counted, not listed again."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Finding] = {}

    def add(self, severity: Severity, what: str, example: str = "", remedy: str = "", count: int = 1) -> None:
        """Counts one more of a kind; the first example and remedy of a kind stay."""
        if count < 1:
            return
        known = self._found.get((severity, what))
        if known is None:
            self._found[severity, what] = Finding(severity, what, count, example, remedy)
        else:
            self._found[severity, what] = replace(known, count=known.count + count)

    def note(self, what: str, example: str = "", remedy: str = "", count: int = 1) -> None:
        """Adds a note."""
        self.add("note", what, example, remedy, count)

    def warn(self, what: str, example: str = "", remedy: str = "", count: int = 1) -> None:
        """Adds a warning."""
        self.add("warning", what, example, remedy, count)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)


def log_findings(findings: Iterable[Finding], source: str | os.PathLike) -> None:
    """Logs one line for each finding, notes as information, the rest as warnings.

    Args:
        findings: what was noticed.
        source: the annotations, named in front.
    """
    for finding in findings:
        level = logging.INFO if finding.severity == "note" else logging.WARNING
        logger.log(level, "%s: %s", source, finding.line())


def refuse_errors(findings: Iterable[Finding], source: str | os.PathLike) -> None:
    """Stops at findings with which the data cannot be used.

    Raises:
        UserError: there are errors among the findings; the message holds each.
    """
    errors = [finding.line() for finding in findings if finding.severity == "error"]
    if errors:
        raise UserError(f"{source}: {'; '.join(errors)}")
