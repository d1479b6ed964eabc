"""The views of the heatmap: what its cells say, how red they are, which attack is the worst, what the colours mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..cell import number_text
from ..panels import LEAST_SCALE, Panel
from ..table import Table

SHADES = 17  # levels of colour in the style sheet


@dataclass(frozen=True)
class Entry:
    """What a cell says in one view: a text, a level of colour if any, and whether its attack is the worst."""

    text: str
    level: int | None
    worst: bool


@dataclass(frozen=True)
class View:
    """A panel of the table as a view of the heatmap. usual: the harm without an attack, where the panel has none."""

    table: Table
    panel: Panel
    usual: float = -math.inf

    @property
    def name(self) -> str:
        return self.panel.name

    def entry(self, attack: str, rule: str) -> Entry:
        text, harm = self.panel.entries.get((attack, rule), ("–", math.nan))
        level = None if math.isnan(harm) else round((SHADES - 1) * min(1, max(0, harm)))
        return Entry(text, level, self.worst.get(rule) == attack)

    @cached_property
    def worst(self) -> dict[str, str]:
        """The attack that does most harm to each rule in this view, if it does more than no attack.

        None for a rule of which the view lacks a value: another attack may be worse.
        """
        worst = {}
        for rule in self.panel.rules:
            harms = {attack: harm for (attack, of), (_, harm) in self.panel.entries.items() if of == rule}
            usual = harms.pop("none", self.usual)
            known = harms.keys() == self.table.column(rule).keys() - {"none"}
            if harms and known and max(harms.values()) > usual:
                worst[rule] = max(harms, key=lambda attack: harms[attack])
        return worst

    @property
    def legend(self) -> list[str]:
        """The values of the palest blue, of the middle and of the darkest red, as text."""
        low, high = self.panel.ends
        values = [max(0.0, low), (max(0.0, low) + high) / 2, high]
        texts = [f"{value:.0f}" if abs(high - low) >= 4 else f"{value:.1f}" for value in values]
        return [f"{text}{self.panel.unit}{'+' * (i == 2 and self.panel.cut)}" for i, text in enumerate(texts)]


def views(table: Table) -> list[View]:
    """Return the views that the records have: accuracy, points lost, weight, distance, kappa."""
    accuracy, *others = [View(table, panel) for panel in table.panels()]
    made = [accuracy, View(table, _points_lost(table), usual=0.0), *others, View(table, _kappa(table))]
    return [view for view in made if view.panel.entries]


def _points_lost(table: Table) -> Panel:
    lost = {
        (attack, rule): damage
        for rule, standing in table.standings.items()
        for attack in standing.attacked
        if (damage := standing.damage_by(attack)) is not None
    }
    scale = max(LEAST_SCALE, *lost.values()) if lost else LEAST_SCALE
    entries = {key: (f"{round(damage, 1) + 0.0:.1f}", damage / scale) for key, damage in lost.items()}  # no -0.0
    title = "Points of accuracy lost against the same rule without an attack"
    return Panel(title, table.rules, entries, name="points lost", ends=(0, scale))


def _kappa(table: Table) -> Panel:
    kappas = {key: cell.lens_average("kappa") for key, cell in table.cells.items()}
    entries = {key: (number_text(kappa), kappa) for key, kappa in kappas.items() if kappa is not None}
    title = "Empirical kappa, mean over rounds: 1 is as far off as a typical honest client"
    title += f"; no rule can guarantee less than {table.least_kappa:.2f}" if table.least_kappa else ""
    return Panel(title, table.rules, entries, name="kappa", ends=(0, 1), cut=True)


def legend_levels() -> Sequence[Sequence[int]]:
    """Return the levels of colour between the numbers of a legend."""
    middle = SHADES // 2
    return range(middle), range(middle, SHADES)
