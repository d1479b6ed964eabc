"""The section of the page on one federation, as its template reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, ClassVar

from markupsafe import escape

from ...core.grammar import with_options
from ...runs.record import Record
from ...runs.versions import CELL
from ...skew import Picture
from ..cell import Cell, number_text
from ..described import count
from ..export import latex, markdown
from ..lens import Lens
from ..table import Table
from ..verdict import remarks
from ..worst import DEFINITION, harder_question, how_to_save, least_kappa_text, sheet
from .cells import open_cell
from .curves import Curves, by_attack, by_rule
from .details import Details
from .findings import Comparison, Finding, comparison, findings, hardest_attack
from .holdings import Holdings, holdings
from .parts import Figure, Sheet, describe_plane
from .ranking import ranking
from .skew import HonestSkew
from .views import Entry, View, views


@dataclass(frozen=True)
class Square:
    """A cell of the heatmap: the anchor of its runs, and what it says in each view."""

    anchor: str
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Section:
    """One federation. number: of the section on the page, part of its anchors."""

    template: ClassVar[str] = "federation.html"
    EXPORTS: ClassVar[Mapping[str, Callable[[Table], str]]] = {
        "Markdown": markdown,
        "LaTeX": latex,
        "CSV": Table.to_csv,
    }
    table: Table
    number: int
    timings: Mapping[str, Mapping[str, Any]]
    pictures: Mapping[str, Sequence[Picture]]
    command: Callable[[Sequence[Record]], str | None]

    @property
    def has_lens(self) -> bool:
        return any(lens.rounds for cell in self.table.cells.values() for lens in cell.lenses)

    @property
    def verdict(self) -> list[str]:
        return [*self.table.statements, *filter(None, [harder_question([self.table])])]

    @cached_property
    def worst(self) -> Sheet | None:
        """The worst found, rule by rule; None without an attack."""
        return Sheet(*sheet(self.table)) if self.table.standings else None

    @property
    def least_kappa(self) -> str:
        return least_kappa_text(self.table)

    @property
    def definition(self) -> str:
        return " ".join(filter(None, [DEFINITION, how_to_save(self.table)]))

    @property
    def remarks(self) -> list[str]:
        return remarks(self.table)

    @cached_property
    def views(self) -> list[View]:
        return views(self.table)

    @cached_property
    def ranking(self) -> Figure | None:
        return ranking(self.table)

    @cached_property
    def curves(self) -> list[tuple[str, list[Curves]]]:
        """The charts of all rules under an attack, and those of all attacks on a rule."""
        return [("attack", by_attack(self.table, self.number)), ("rule", by_rule(self.table, self.number))]

    @property
    def heat(self) -> list[tuple[str, list[Square | None]]]:
        """The rows of the heatmap by attack, None for a cell without runs."""
        return [(attack, [self._square(attack, rule) for rule in self.table.rules]) for attack in self.table.attacks]

    def _square(self, attack: str, rule: str) -> Square | None:
        if (attack, rule) not in self.table.cells:
            return None
        return Square(self.anchor(attack, rule), [view.entry(attack, rule) for view in self.views])

    def anchor(self, attack: str, rule: str) -> str:
        """The id of the cell on the page: of numbers, as names may hold anything."""
        return f"run-{self.number}-{self.table.attacks.index(attack)}-{self.table.rules.index(rule)}"

    @cached_property
    def findings(self) -> list[Finding]:
        return findings(self.table)

    @cached_property
    def comparison(self) -> Comparison | None:
        return comparison(self.table)

    def add_details(self, details: Details, parts: Any) -> None:
        """Add what is shown when it is opened: cells, charts, texts to copy. parts: the macros of the template."""
        for key in self.table.cells:
            anchor = self.anchor(*key)
            details.add(anchor, parts.opened(open_cell(self.table, anchor, key, self.pictures), self.number))
        for _, charts in self.curves:
            for chart in charts:
                details.add(chart.anchor, parts.figures([chart.figure]), is_open=chart.shown)
        for place, export in enumerate(self.EXPORTS.values()):
            details.add(f"copy-{self.number}-{place}", escape(export(self.table)))

    @cached_property
    def holdings(self) -> list[Holdings]:
        """Who holds what, seed by seed; empty without class counts."""
        return holdings(self.table.records, self.number)

    @cached_property
    def skew(self) -> HonestSkew:
        """The skew of the honest updates, measured in the runs that show it best."""
        honest = self.table.honest
        rule, attack = honest[0].spec["aggregator_name"], _under(honest[0].spec["attack_name"])
        lenses = [Lens(record) for record in honest]
        where = f"the runs of {rule} {attack}, {count(len(honest), 'seed')}"
        return HonestSkew(lenses, where, self._picture)

    @property
    def _picture(self) -> tuple[Picture, str] | None:
        """The latest picture under the attack that is worst for most rules, else under any, with its caption.

        By principal components, whose distances are real, if there is one.
        """
        hardest = hardest_attack(self.table)
        drawn = [
            (record.spec["attack_name"] == hardest, picture.method != "lle", picture.round, record.spec, picture)
            for record in self.table.records
            for picture in self.pictures.get(record.digest, ())
        ]
        best = max(drawn, key=lambda each: each[:3], default=None)
        if best is None:
            return None
        spec, picture = best[3:]
        several = len(self.table.cells[spec["attack_name"], spec["aggregator_name"]].records) > 1
        seed = f"seed {spec['seed']}" if several else ""
        return picture, describe_plane(picture, spec["attack_name"], spec["aggregator_name"], seed)

    @cached_property
    def runs(self) -> list[list[str]]:
        """All runs: anchor of the cell, attack, rule, seed, accuracies, kappas, Byzantine weight, shut out."""
        rows = []
        for record in self.table.records:
            spec, run, share = record.spec, Cell([record]), record.average("byzantine_share")
            numbers = [run.lens_average("kappa"), max(run.series("kappa"), default=None)]
            numbers += [None if share is None else 100 * share, run.lens_average("shut_out")]
            texts = ["–" if value is None else number_text(value) for value in numbers]
            accuracies = [f"{record.accuracy:.2f}", f"{record.best_accuracy:.2f}"]
            names = [spec["attack_name"], spec["aggregator_name"]]
            rows.append([self.anchor(*names), *names, str(spec["seed"]), *accuracies, *texts])
        return rows

    @property
    def spec(self) -> list[tuple[str, str]]:
        """The settings that all runs share."""
        shown = {key: value for key, value in self.table.records[0].spec.items() if key not in CELL}
        named = {
            key: with_options(value) for key, value in shown.items() if isinstance(value, dict) and "name" in value
        }
        return [(key, named.get(key, str(value))) for key, value in sorted(shown.items())]

    @property
    def made(self) -> list[tuple[str, str]]:
        """Hardware, versions and time, as far as the store has them."""
        timings = [self.timings.get(record.digest, {}) for record in self.table.records]
        rows = []
        for key in ("device", "system", "gradskew", "python", "torch"):
            values = sorted({str(each[key]) for each in timings if key in each})
            if values:
                rows.append((key, ", ".join(values)))
        seconds = [float(each["seconds"]) for each in timings if isinstance(each.get("seconds"), int | float)]
        if seconds:
            total = f"{sum(seconds):.0f} s in all, {median(seconds):.1f} s for a typical run"
            rows.append(("time", f"{total} ({len(seconds)} of {count(len(timings), 'run')})"))
        return rows

    @property
    def repeated_by(self) -> str | None:
        """The command line that repeats the runs, None if there is none."""
        return self.command(self.table.records)


def _under(attack: str) -> str:
    return "without attack" if attack == "none" else f"under {attack}"
