"""The views of a table: accuracy, Byzantine share of the weights, distance of the aggregate from the honest mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .table import Table

LEAST_SCALE = 10.0  # the least span of the colours, in points of accuracy


@dataclass(frozen=True)
class Panel:
    """One view of the table, for the rules that have it. entries: by (attack, rule), a text and its harm, 0 to 1.

    name: in a word or two. ends: the values of harm 0 and 1, with their unit. cut: whether more harm looks like 1.
    """

    title: str
    rules: Sequence[str]
    entries: dict[tuple[str, str], tuple[str, float]]
    name: str = ""
    ends: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    cut: bool = False


def panels(table: Table) -> list[Panel]:
    """Return the views that have an entry."""
    cells = table.cells
    reference = max(cell.mean for cell in cells.values())
    scale = max(LEAST_SCALE, *(reference - cell.mean for cell in cells.values()))
    accuracy = _panel(
        table,
        f"Test {table.measure} in %{table.legend}: the redder, the lower",
        lambda key: (cells[key].text, (reference - cells[key].mean) / scale),
        name="accuracy",
        ends=(reference, reference - scale),
        unit=" %",
    )
    share = _panel(
        table,
        f"Byzantine rows' share of the weights in % ({table.expected_share:.0f} % of the clients are Byzantine)",
        lambda key: _share(table, key),
        name="Byzantine weight",
        ends=(0, 2 * (table.expected_share or 50)),
        unit=" %",
        cut=True,
    )
    distance = _panel(
        table,
        "Distance of the aggregate from the honest mean, as a multiple of the same rule's without attack",
        lambda key: _distance(table, key),
        name="distance",
        ends=(0, 5),
        cut=True,
    )
    return [panel for panel in (accuracy, share, distance) if panel.rules]


def _panel(
    table: Table, title: str, entry: Callable[[tuple[str, str]], tuple[str, float] | None], **scale: Any
) -> Panel:
    entries = {key: view for key in table.cells if (view := entry(key)) is not None}
    rules = [rule for rule in table.rules if any(rule == other for _, other in entries)]
    return Panel(title, rules, entries, **scale)


def _share(table: Table, key: tuple[str, str]) -> tuple[str, float] | None:
    share = table.cells[key].average("byzantine_share")
    return None if share is None else (f"{100 * share:.0f}", 50 * share / (table.expected_share or 50))


def _distance(table: Table, key: tuple[str, str]) -> tuple[str, float] | None:
    usual_cell = table.cells.get(("none", key[1]))
    distance, usual = table.cells[key].average("distance"), usual_cell.average("distance") if usual_cell else None
    if distance is None or not usual:
        return None
    return f"{distance / usual:.1f}", 0.06 + 0.19 * distance / usual  # pale blue at 1, red from 5 on
