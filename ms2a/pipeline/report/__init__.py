"""``report.html``: one page that shows what a work folder holds, for people."""

from ms2a.pipeline.report.write import write_report

__all__ = ["write_report"]
