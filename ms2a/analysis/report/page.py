"""The page: a template, a style and a script of this folder, filled in; every name is escaped."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
# Sections that a run may lack.
_NOTHING: dict[str, Any] = dict(
    adapted=False,
    data=None,
    stages=(),
    memory=None,
    steps=(),
    domains=(),
    advice=(),
    gallery=None,
    notes=(),
    facts={},
)


def render_page(content: Mapping[str, Any]) -> str:
    """Fills in the page.

    Args:
        content: ``title``, ``kind`` (``"adaptation"``, ``"test"`` or ``"training"``), ``provenance``, ``written_by``
            and what there is of the sections, see :mod:`ms2a.pipeline.report.write`. Only markup of
            :mod:`ms2a.analysis.report.plots` is taken as it is.

    Returns:
        one HTML document; it asks nobody for anything, and tells the browser to see to that.
    """
    names = {"style": "page.css", "reading": "reading.js", "script": "page.js"}
    own = {name: Markup((FOLDER / file).read_text(encoding="utf-8")) for name, file in names.items()}
    return _environment().get_template("page.html").render(_NOTHING | dict(content), **own)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False}  # scripts read no NaN
    environment.filters |= {"score": _score, "signed": _signed, "duration": duration, "memory": _memory}
    return environment


def duration(seconds: float) -> str:
    """A time for people: 48 s, 5 min 12 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _memory(mib: float) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"
