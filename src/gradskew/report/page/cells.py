"""A cell of the table, opened: its curves, which clients the rule chose, and the updates in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...runs.record import Record
from ...skew import Picture
from ..cell import Cell, number_text
from ..lens import Lens
from ..table import Table
from . import svg
from .curves import tested
from .findings import class_accuracies
from .parts import Figure, Series, by_round, describe_plane, grey, mean_by_round, of_lenses, over_seeds, plane


@dataclass(frozen=True)
class Opened:
    """A cell, opened: an anchor, a heading, one line of numbers, and figures with a caption each."""

    anchor: str
    attack: str
    rule: str
    summary: str
    figures: Sequence[Figure]


def open_cell(table: Table, anchor: str, key: tuple[str, str], pictures: Mapping[str, Sequence[Picture]]) -> Opened:
    """Open the cell of an attack and a rule (key); it has figures of the lens only where its records have them."""
    attack, rule = key
    cell, usual = table.cells[key], None if attack == "none" else table.cells.get(("none", rule))
    figures = [_accuracy(cell, usual, table.measure)]
    lenses = [lens for lens in cell.lenses if lens.rounds]
    least = None if attack == "none" else table.least_kappa
    if lenses:
        figures += of_lenses([(_seed(lens.record), lens) for lens in lenses], usual.lenses if usual else [], least)
        figures += [*_shut_out(lenses[0], _one_of(cell, lenses[0].record)), *_by_class(cell, usual)]
        for record in [record for record in cell.records if pictures.get(record.digest)][:1]:
            drawn = sorted(pictures[record.digest], key=lambda each: (each.method == "lle", each.round))
            seed = _one_of(cell, record)
            figures += [(plane(picture), describe_plane(picture, attack, rule, seed)) for picture in drawn]
    else:
        share, distance = (_metric(cell, metric) for metric in ("byzantine_share", "distance"))
        figures += [
            (
                by_round("Byzantine share", share, unit="share", low=0),
                "Byzantine rows' share of the weight.",
            ),
            (by_round("Distance", distance, unit="distance", low=0), "Distance of the aggregate from the honest mean."),
        ]
    return Opened(anchor, attack, rule, _summary(cell), [(chart, text) for chart, text in figures if chart])


def _summary(cell: Cell) -> str:
    parts = [f"accuracy {cell.text} %"]
    share = cell.average("byzantine_share")
    if share is not None:
        parts.append(f"Byzantine share of the weight {100 * share:.0f} %")
    kappas = cell.series("kappa")
    if kappas:
        parts.append(f"kappa {number_text(fmean(kappas))} on average, {number_text(max(kappas))} at most")
    return "; ".join(parts)


def _seed(record: Record) -> str:
    return f"seed {record.spec['seed']}"


def _one_of(cell: Cell, record: Record) -> str:
    """Return the seed of what is shown of one record only; "" where the cell has no other."""
    return _seed(record) if len(cell.records) > 1 else ""


def _accuracy(cell: Cell, usual: Cell | None, measure: str) -> Figure:
    label = f"Test {measure} by round"
    by_seed = [(_seed(record), *tested(record)) for record in cell.records]
    without = None if usual is None else mean_by_round("without an attack", map(tested, usual.records))
    drawn = by_round(label, by_seed, without, unit=f"test {measure}, %")
    return drawn, f"{label}.{grey(len(usual.records) if usual else 0)}"


def _metric(cell: Cell, metric: str) -> list[Series]:
    return [(_seed(each), range(len(each.rounds)), each.columns[metric]) for each in cell.records]


def _shut_out(lens: Lens, seed: str) -> list[Figure]:
    """Draw which honest clients are shut out, if any is. seed: whose clients they are, as each seed deals anew."""
    rates = lens.shut_out_rates
    clients = list(rates)
    if not any(rates.values()):
        return []
    place = {client: row for row, client in enumerate(clients)}
    shut_out = zip(lens.rounds, lens.column("shut_out"), strict=True)
    marked = [(place[client], t) for t, clients_out in shut_out for client in clients_out]
    rounds = lens.record.spec["rounds"]
    chart = svg.shading("Honest clients shut out, client by round", [*map(str, clients)], rounds, marked)
    often = sorted(clients, key=lambda client: -rates[client])[:3]
    named = ", ".join(f"{client} ({100 * rates[client]:.0f} %)" for client in often)
    whose = f" of {seed}" if seed else ""
    return [(chart, f"Honest clients{whose} (down) shut out, by round (across). Most often: {named} of the rounds.")]


def _by_class(cell: Cell, usual: Cell | None) -> list[Figure]:
    """Draw the accuracy by class, if it is known."""
    attacked, before = class_accuracies(cell), class_accuracies(usual)
    if not attacked:
        return []
    references = before or [None] * len(attacked)
    pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(references, attacked, strict=True))]
    pale = " Pale: without an attack." if before else ""
    chart = svg.bars("Accuracy by class", pairs, below="class", unit="accuracy, %")
    return [(chart, f"Accuracy by class{over_seeds(len(cell.records))}.{pale}")]
