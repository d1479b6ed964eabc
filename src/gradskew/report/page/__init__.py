"""report.html: a page in one file, made from records or from what a red team measured."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...runs.record import Record
from ...skew import Picture
from ..beside import Beside
from ..figures import shade
from ..sweep import sweep_of
from ..table import Table
from .parts import breakable
from .sections import Section
from .sweep import SweepSection, sheets
from .views import SHADES, legend_levels

POLICY = "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'"
LEAD = "How far can Byzantine clients bend this federated model, and what was the worst found of each rule?"


class AuditView(Protocol):
    """What the section on an audit shows; `gradskew.audit.standing.Audit` has it."""

    @property
    def verdict(self) -> Sequence[str]: ...

    @property
    def sheets(self) -> Sequence[Any]: ...

    @property
    def inspections(self) -> Mapping[str, Any]: ...


class AnySection(Protocol):
    """A section with the name of its template, which reads the section's other attributes."""

    @property
    def template(self) -> str: ...


def page(
    tables: Sequence[Table],
    *,
    title: str,
    timings: Mapping[str, Mapping[str, Any]],
    pictures: Mapping[str, Sequence[Picture]],
    command: Callable[[Sequence[Record]], str | None],
    audit: AuditView | None = None,
    compared: Beside | None = None,
) -> str:
    """Return the page on these tables, one section for each.

    compared: the folders of the tables side by side, if they can be compared.

    timings, pictures: what the store has beside the records, by digest; entries may be missing. command: returns the
    command line that repeats records, or None. audit: of the one table; it comes first. Equal records give equal text.
    """
    sections = [Section(table, number, timings, pictures, command) for number, table in enumerate(tables)]
    sweep = sweep_of(tables)
    return render(
        sections,
        title=title,
        lead=LEAD,
        audit=audit,
        sweep=None if sweep is None else SweepSection(sweep),
        compared=compared,
    )


def render(
    sections: Sequence[AnySection],
    *,
    title: str,
    lead: str,
    audit: AuditView | None = None,
    sweep: SweepSection | None = None,
    compared: Beside | None = None,
) -> str:
    """Return the page with these sections. sweep, compared: of all of them; they come before them.

    All text is escaped; the page's policy admits no script and no style but its own, and no request.
    """
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    style = Markup(environment.get_template("page.css").render(shades=[shade(i / (SHADES - 1)) for i in range(SHADES)]))
    script = Markup(environment.get_template("page.js").render())
    policy = POLICY.format(_hash(style), _hash(script))
    values: dict[str, Any] = {"title": title, "lead": lead, "sections": sections, "audit": audit, "sweep": sweep}
    values |= {"compared": None if compared is None else sheets("compared", compared)}
    values |= {"style": style, "script": script}
    return environment.get_template("page.html").render(values, policy=policy, levels=legend_levels())


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
