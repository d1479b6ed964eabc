"""report.html: one page that needs nothing but itself, made from records alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...runs.record import Record
from ...skew import Picture
from ..figures import shade
from ..table import Table
from .sections import SHADES, Section

POLICY = "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'"


class AuditView(Protocol):
    """What the section on an audit shows; `gradskew.audit.standing.Audit` has it."""

    @property
    def verdict(self) -> Sequence[str]: ...

    @property
    def sheets(self) -> Sequence[Any]: ...

    @property
    def inspections(self) -> Mapping[str, Any]: ...


def page(
    tables: Sequence[Table],
    *,
    title: str,
    timings: Mapping[str, Mapping[str, Any]],
    pictures: Mapping[str, Sequence[Picture]],
    command: Callable[[Sequence[Record]], str | None],
    audit: AuditView | None = None,
) -> str:
    """The page on these tables, one section for each.

    timings, pictures: what the store has beside the records, by digest; entries may be missing. command: from records
    to the command line that plays them again, or None. audit: of the one table; it comes first. The same records give
    the same text. All text is escaped; the page's policy admits no script and no style but its own, and no request.
    """
    sections = [Section(table, number, timings, pictures, command) for number, table in enumerate(tables)]
    return render("page.html", title=title, sections=sections, audit=audit)


def render(template: str, **values: Any) -> str:
    """One of the templates with these values, and the page's style, script and policy."""
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup(environment.get_template("page.css").render(shades=[shade(i / (SHADES - 1)) for i in range(SHADES)]))
    script = Markup(environment.get_template("page.js").render())
    policy = POLICY.format(_hash(style), _hash(script))
    return environment.get_template(template).render(values, style=style, script=script, policy=policy)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
