"""The result of checking all sets of a task, for people and for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ms2a.artefacts import read_json, write_json
from ms2a.datasets.check.result import CheckedSet
from ms2a.datasets.findings import Finding
from ms2a.errors import UserError

REPORT = "data_report.json"


@dataclass(frozen=True)
class DataReport:
    """All checked sets.

    Attributes:
        sets: each by itself.
        findings: what concerns several of them.
    """

    sets: Sequence[CheckedSet]
    findings: Sequence[Finding] = ()

    def lines(self) -> list[str]:
        """One line a set and one a finding."""
        between = [f"{finding.severity}: {finding.line()}" for finding in self.findings]
        return [line for checked in self.sets for line in checked.lines()] + between

    def told(self, severity: str) -> list[str]:
        """The findings of a severity, with the set that each is about."""
        found = [(f"{checked.name}: ", finding) for checked in self.sets for finding in checked.findings]
        found += [("", finding) for finding in self.findings]
        return [f"{name}{finding.line()}" for name, finding in found if finding.severity == severity]

    def refuse(self, strict: bool = False) -> None:
        """Stops at errors.

        Args:
            strict: stop at warnings too.

        Raises:
            UserError: there are some; the message is all errors, or the first warning.
        """
        if errors := self.told("error"):
            raise UserError("; ".join(errors))
        if strict and (warnings := self.told("warning")):
            more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
            raise UserError(f"warnings count as errors here: {warnings[0]}{more}")

    def write(self, folder: Path) -> bool:
        """Writes ``data_report.json``; returns whether it differs from what was there."""
        path = folder / REPORT
        sets = [checked.to_json() for checked in self.sets]
        content = {"sets": sets, "findings": [vars(finding) for finding in self.findings]}
        if path.exists() and read_json(path, "data report") == content:
            return False
        write_json(content, path)
        return True
