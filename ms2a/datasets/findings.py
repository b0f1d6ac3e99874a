"""What a reader of annotations, or the check of a data set, has to say: one finding a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass

from ms2a.errors import UserError

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """One thing found in a set of annotated images.

    Attributes:
        severity: ``"error"`` (the set is refused), ``"warning"`` (something is lost or doubtful) or ``"note"`` (something
            was assumed or put right, and nothing is lost).
        what: the things counted and what is the matter with them.
        count: how many there are.
        example: the first of them.
        remedy: what the user can do; empty if nothing need be done.
    """

    severity: str
    what: str
    count: int
    example: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        first = f" ({'first: ' if self.count > 1 else ''}{self.example})" if self.example else ""
        return f"{self.count} {self.what}{first}" + (f"; {self.remedy}" if self.remedy else "")


def refuse(name: str, findings: Iterable[Finding]) -> None:
    """Stops at the errors among the findings.

    Args:
        name: of the set.
        findings: of any severity.

    Raises:
        UserError: there is an error; the message is the first one, and says how many more there are.
    """
    errors = [finding for finding in findings if finding.severity == ERROR]
    if errors:
        more = f" (and {len(errors) - 1} more: tools/check_data.py lists all)" if len(errors) > 1 else ""
        raise UserError(f"{name}: {errors[0]}{more}")
