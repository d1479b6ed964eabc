"""report.html: a page made from records or from what a red team measured, in one file unless it would be large."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...runs.record import Record
from ...skew import Picture
from ..beside import Beside
from ..figures import shade
from ..sweep import sweep_of
from ..table import Table
from .details import FOLDER, Details
from .parts import breakable
from .sections import Section
from .sweep import SweepSection, sheets
from .views import SHADES, legend_levels

POLICY = "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'"
LOADING = "{} 'strict-dynamic'"  # a script that may load others, with the details
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
    beside: Path | None = None,
) -> str:
    """Return the page on these tables, one section for each.

    compared: the folders of the tables side by side, if they can be compared. beside: the folder of the page, for
    files with the details of a large one: see `Details`.

    timings, pictures: what the store has beside the records, by digest; entries may be missing. command: returns the
    command line that repeats records, or None. audit: of the one table; it comes first. Equal records give equal text.
    """
    sections = [Section(table, number, timings, pictures, command) for number, table in enumerate(tables)]
    sweep, details = sweep_of(tables), Details(beside)
    for section in sections:
        section.add_details(details, _environment().get_template("parts.html").module)
    details.close()
    return render(
        sections,
        title=title,
        lead=LEAD,
        audit=audit,
        sweep=None if sweep is None else SweepSection(sweep),
        compared=compared,
        details=details,
    )


def render(
    sections: Sequence[AnySection],
    *,
    title: str,
    lead: str,
    audit: AuditView | None = None,
    sweep: SweepSection | None = None,
    compared: Beside | None = None,
    details: Details | None = None,
) -> str:
    """Return the page with these sections. sweep, compared: of all of them; they come before them. details: of them.

    All text is escaped; the page's policy admits no script and no style but its own, and no request but for files with
    its details.
    """
    environment, details = _environment(), details or Details()
    shades = [shade(i / (SHADES - 1)) for i in range(SHADES)]
    style = Markup(environment.get_template("page.css").render(shades=shades, folder=FOLDER))
    script = Markup(environment.get_template("page.js").render(folder=FOLDER))
    allowed = LOADING.format(_hash(script)) if details.in_files else _hash(script)
    policy = POLICY.format(_hash(style), allowed)
    values: dict[str, Any] = {"title": title, "lead": lead, "sections": sections, "audit": audit, "sweep": sweep}
    values |= {"compared": None, "details": details}
    if compared is not None:
        values |= {"compared": sheets("compared", compared), "compared_measure": compared.measure}
    values |= {"style": style, "script": script}
    return environment.get_template("page.html").render(values, policy=policy, levels=legend_levels())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
