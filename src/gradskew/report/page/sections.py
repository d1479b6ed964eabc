"""A section of the page: all that is said of one federation, ready to be laid out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median
from typing import Any

from markupsafe import Markup

from ...runs.record import Record
from ...skew import Picture
from ...skew.references import Measure, reading
from ...skew.statistics import Estimate
from ..export import latex, markdown, results_csv
from ..lens import Lens, Overview
from ..table import CELL, Panel, Table, count, with_options
from ..verdict import advice, remarks, verdict
from . import svg
from .cells import KINDS, Opened, opened, plane
from .findings import Comparison, Finding, comparison, findings

SHADES = 17  # levels of colour in the style sheet


@dataclass(frozen=True)
class Square:
    """A cell of the heatmap: where it leads, and for each view its text and its level of colour (None: no entry)."""

    anchor: str
    entries: Sequence[tuple[str, int | None]]
    worst: bool


@dataclass(frozen=True)
class Section:
    """One federation; `number` tells its anchors from those of others on the page."""

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
        return [*filter(None, [advice(self.table.ranked)]), *verdict(self.table)]

    @property
    def remarks(self) -> list[str]:
        return remarks(self.table)

    @cached_property
    def panels(self) -> list[Panel]:
        panels = self.table.panels()
        entries = {}
        for key, cell in self.table.cells.items():
            value = cell.lens_average("kappa")
            if value is not None:
                entries[key] = (f"{value:.2f}", value)
        title = "Empirical kappa, mean over rounds: 1 is as far off as a typical honest client"
        return [*panels, Panel(title, self.table.rules, entries)] if entries else panels

    @property
    def heat(self) -> list[tuple[str, list[Square | None]]]:
        """Row by row the cells of the heatmap, None where nothing was played."""
        rows = []
        for attack in self.table.attacks:
            here = [(attack, rule) in self.table.cells for rule in self.table.rules]
            squares = zip(here, self.table.rules, strict=True)
            rows.append((attack, [self._square(attack, rule) if there else None for there, rule in squares]))
        return rows

    def _square(self, attack: str, rule: str) -> Square:
        found = [panel.entries.get((attack, rule), ("–", math.nan)) for panel in self.panels]
        return Square(
            self.anchor(attack, rule),
            [(text, None if math.isnan(harm) else round((SHADES - 1) * min(1, max(0, harm)))) for text, harm in found],
            self.table.worst_attacks.get(rule) == attack,
        )

    def anchor(self, attack: str, rule: str) -> str:
        """The id of the cell on the page: of numbers, as names may hold anything."""
        return f"run-{self.number}-{self.table.attacks.index(attack)}-{self.table.rules.index(rule)}"

    @property
    def findings(self) -> list[Finding]:
        return findings(self.table)

    @property
    def comparison(self) -> Comparison | None:
        return comparison(self.table)

    @property
    def cells(self) -> list[Opened]:
        return [opened(self.table, self.anchor(*key), key, self.pictures) for key in self.table.cells]

    @cached_property
    def overview(self) -> Overview:
        return Overview([Lens(record) for record in self.table.honest])

    @cached_property
    def skew(self) -> list[tuple[Measure, Estimate]]:
        """The numbers on the honest updates."""
        return self.overview.values

    @property
    def reading(self) -> str:
        return reading(self.skew)

    @property
    def supposed(self) -> str:
        return self.overview.supposed

    @property
    def honest_runs(self) -> str:
        """Where the skew was measured."""
        honest = self.table.honest
        spec = honest[0].spec
        attack = "without attack" if spec["attack_name"] == "none" else f"under {spec['attack_name']}"
        return f"the runs of {spec['aggregator_name']} {attack}, {count(len(honest), 'seed')}"

    @property
    def portrait(self) -> tuple[Markup, Picture] | None:
        """An LLE picture of STRIKE's updates among the honest if there is one, else of any."""
        drawn = [(r.spec["attack_name"], p) for r in self.table.records for p in self.pictures.get(r.digest, ())]
        found = [(attack.startswith("strike"), p.round, p) for attack, p in drawn if p.method == "lle"]
        if not found:
            return None
        picture = max(found, key=lambda each: each[:2])[2]
        return plane(picture), picture

    @property
    def legend(self) -> list[tuple[str, Markup]]:
        """What each mark of a picture means."""
        return [(name, svg.mark(look)) for name, look in KINDS]

    @property
    def runs(self) -> list[list[str]]:
        """The flat table of all runs: attack, rule, seed, accuracies, kappas, weights, and the anchor of the cell."""
        rows = []
        for record in self.table.records:
            spec, lens = record.spec, Lens(record)
            share, most = record.average("byzantine_share"), [None, *lens.series("kappa_max")][-1]
            percent = None if share is None else 100 * share
            numbers = (_mean(lens.series("kappa")), most, percent, _mean(lens.series("shut_out")))
            texts = ["–" if value is None else f"{value:.2f}" for value in numbers]
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
        """Hardware, versions and time, as far as it was noted."""
        noted = [self.timings.get(record.digest, {}) for record in self.table.records]
        rows = []
        for key in ("device", "system", "gradskew", "python", "torch"):
            values = sorted({str(each[key]) for each in noted if key in each})
            if values:
                rows.append((key, ", ".join(values)))
        seconds = [float(each["seconds"]) for each in noted if isinstance(each.get("seconds"), int | float)]
        if seconds:
            total = f"{sum(seconds):.0f} s in all, {median(seconds):.1f} s for a typical run"
            rows.append(("time", f"{total} ({len(seconds)} of {count(len(noted), 'run')})"))
        return rows

    @property
    def repeated_by(self) -> str | None:
        return self.command(self.table.records)

    @property
    def exports(self) -> list[tuple[str, str]]:
        table = self.table
        return [("Markdown", markdown(table)), ("LaTeX", latex(table)), ("CSV", results_csv(table.records))]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
