"""A cell of the table, opened: its curves, which clients the rule chose, and the updates in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from ...runs.record import Record
from ...skew import Picture
from ..standing import Cell
from ..table import Table
from . import svg
from .findings import class_accuracies
from .parts import Figure, Series, by_round, describe_plane, of_lenses, plane


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
    grey = " Grey: without an attack." if usual else ""
    figures = [(_accuracy(cell, usual), f"Test accuracy by round.{grey}")]
    if any(lens.rounds for lens in cell.lenses):
        named = [(_seed(lens.record), lens) for lens in cell.lenses]
        figures += of_lenses(named, usual.lenses[0] if usual else None)
        figures += _of_the_clients(cell, usual)
        drawn = sorted(pictures.get(cell.records[0].digest, ()), key=lambda each: (each.method == "lle", each.round))
        figures += [(plane(picture), describe_plane(picture, attack, rule)) for picture in drawn]
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
        parts.append(f"kappa {fmean(kappas):.2f} on average, {max(kappas):.2f} at most")
    return "; ".join(parts)


def _seed(record: Record) -> str:
    return f"seed {record.spec['seed']}"


def _accuracy(cell: Cell, usual: Cell | None) -> Markup:
    def tested(name: str, record: Record) -> Series:
        rounds = [(m["round"], m["accuracy"]) for m in record.rounds if m["accuracy"] is not None]
        return name, [number for number, _ in rounds], [accuracy for _, accuracy in rounds]

    alone = None if usual is None else tested("without an attack", usual.records[0])
    return by_round(
        "Test accuracy by round",
        [tested(_seed(record), record) for record in cell.records],
        alone,
        unit="test accuracy, %",
    )


def _metric(cell: Cell, metric: str) -> list[Series]:
    return [(_seed(each), [m["round"] for m in each.rounds], [m[metric] for m in each.rounds]) for each in cell.records]


def _of_the_clients(cell: Cell, usual: Cell | None) -> list[Figure]:
    """Draw which honest clients are shut out, and the accuracy by class."""
    figures, lens = [], cell.lenses[0]
    clients = list(lens.shut_out_rates)
    if clients and any(lens.shut_out_rates.values()):
        place = {client: row for row, client in enumerate(clients)}
        shut_out = [(t, each["shut_out"]) for t, each in zip(lens.rounds, lens.measured, strict=True)]
        marked = [(place[client], t) for t, clients_out in shut_out for client in clients_out]
        rounds = cell.records[0].spec["rounds"]
        chart = svg.shading("Honest clients shut out, client by round", [*map(str, clients)], rounds, marked)
        often = sorted(clients, key=lambda client: -lens.shut_out_rates[client])[:3]
        named = ", ".join(f"{client} ({100 * lens.shut_out_rates[client]:.0f} %)" for client in often)
        caption = f"Honest clients (down) shut out, by round (across). Most often: {named} of the rounds."
        figures.append((chart, caption))
    attacked, before = class_accuracies(cell), class_accuracies(usual)
    if attacked:
        references = before or [None] * len(attacked)
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(references, attacked, strict=True))]
        pale = " Pale: without an attack." if before else ""
        figures.append(
            (svg.bars("Accuracy by class", pairs, below="class", unit="accuracy, %"), f"Accuracy by class.{pale}")
        )
    return figures
