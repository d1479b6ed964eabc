"""What a cell of the table opens to: its curves, whom the rule chose, and the updates in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from ...runs.record import Record
from ...skew import Picture
from ..lens import Lens
from ..standing import Cell
from ..table import Table
from . import svg
from .findings import class_accuracies

KINDS = (
    ("honest updates, skewed (S)", "skewed"),
    ("other honest updates", "other"),
    ("Byzantine updates", "byzantine"),
    ("mean of the honest updates", "mean"),
    ("what the rule made of all", "aggregate"),
)


@dataclass(frozen=True)
class Opened:
    """A cell, opened: an anchor, a heading, one line of numbers, and figures with a caption each."""

    anchor: str
    attack: str
    rule: str
    summary: str
    figures: Sequence[tuple[Markup, str]]


def opened(table: Table, anchor: str, key: tuple[str, str], drawn: Mapping[str, Sequence[Picture]]) -> Opened:
    """Return the cell of an attack and a rule; lens figures only where the records have them."""
    attack, rule = key
    cell, usual = table.cells[key], table.cells.get(("none", rule))
    reference = None if attack == "none" or usual is None else usual.lenses[0]
    figures = [
        (
            _accuracy(cell.records, reference.record if reference else None),
            "Test accuracy in %, by round. Grey: without an attack.",
        )
    ]
    if any(lens.rounds for lens in cell.lenses):
        figures += _of_the_rule(cell.lenses, reference)
        figures += _of_the_clients(cell, usual if reference else None)
        figures += _pictures(drawn.get(cell.records[0].digest, ()))
    else:
        share, distance = (_series(cell.records, metric) for metric in ("byzantine_share", "distance"))
        figures += [
            (share, "Byzantine rows' share of the weight."),
            (distance, "Distance of the aggregate from the honest mean."),
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


def _accuracy(records: Sequence[Record], reference: Record | None) -> Markup:
    every = [*([reference] if reference else []), *records]
    series = []
    for number, record in enumerate(every):
        tested = [(m["round"], m["accuracy"]) for m in record.rounds if m["accuracy"] is not None]
        look = "pale" if record is reference else _look(number - bool(reference))
        name = "without an attack" if record is reference else f"seed {record.spec['seed']}"
        series.append(svg.Line(name, look, [t for t, _ in tested], [accuracy for _, accuracy in tested]))
    return svg.lines("Test accuracy by round", series)


def _series(records: Sequence[Record], metric: str) -> Markup:
    rounds = [(record.spec["seed"], record.rounds) for record in records]
    found = [
        svg.Line(f"seed {seed}", _look(i), [m["round"] for m in of_run], [m[metric] for m in of_run])
        for i, (seed, of_run) in enumerate(rounds)
    ]
    return svg.lines(metric.replace("_", " "), found, at_least=0)


def _of_the_rule(seen: Sequence[Lens], reference: Lens | None) -> list[tuple[Markup, str]]:
    """Kappa over rounds, and how much of the weight the Byzantine rows got."""
    names = [f"seed {lens.record.spec['seed']}" for lens in seen]
    kappa = [svg.Line(names[i], _look(i), lens.rounds, lens.series("kappa")) for i, lens in enumerate(seen)]
    if reference is not None:
        kappa.insert(0, svg.Line("without an attack", "pale", reference.rounds, reference.series("kappa")))
    first = seen[0]
    share = [svg.Line("share of the weight", "first", *_percent(first, "byzantine_share"))]
    share.append(svg.Line("part of them chosen", "second", first.rounds, _times(100, first.series("selected"))))
    lopsided = [svg.Line("skewness", "first", first.rounds, first.series("skewness"))]
    band = svg.Band(first.rounds, first.band("skewness"))
    return [
        (
            svg.lines("Empirical kappa by round", kappa, at_least=0),
            "Empirical kappa: error over the honest spread, squared. Grey: without an attack.",
        ),
        (
            svg.lines("Weight of the Byzantine rows", share, at_least=0),
            "Byzantine rows: share of the weight (solid) and part of them chosen (dashed), in %.",
        ),
        (
            svg.lines("Skewness by round", lopsided, [band], at_least=0),
            "Skewness of the honest updates towards their median, with its 95 % interval; 0 is even.",
        ),
    ]


def _of_the_clients(cell: Cell, usual: Cell | None) -> list[tuple[Markup, str]]:
    """Draw the clients that are shut out, and the accuracy on each class."""
    figures, lens = [], cell.lenses[0]
    clients = list(lens.shut_out_rates)
    if clients and any(lens.shut_out_rates.values()):
        place = {client: row for row, client in enumerate(clients)}
        marked = [(place[c], t) for t, entry in zip(lens.rounds, lens.measured, strict=True) for c in entry["shut_out"]]
        rounds = cell.records[0].spec["rounds"]
        chart = svg.shading("Honest clients shut out, client by round", len(clients), rounds, marked)
        often = sorted(clients, key=lambda client: -lens.shut_out_rates[client])[:3]
        named = ", ".join(f"{client} ({100 * lens.shut_out_rates[client]:.0f} %)" for client in often)
        caption = f"Honest clients (down) shut out, by round (across). Most often: {named} of the rounds."
        figures.append((chart, caption))
    attacked, before = class_accuracies(cell), class_accuracies(usual)
    if attacked:
        references = before or [None] * len(attacked)
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(references, attacked, strict=True))]
        figures.append((svg.bars("Accuracy by class", pairs), "Accuracy by class in %. Pale: without an attack."))
    return figures


def _pictures(drawn: Sequence[Picture]) -> list[tuple[Markup, str]]:
    """The updates in the plane, with what each mark means."""
    figures = []
    for picture in drawn:
        kind = "LLE" if picture.method == "lle" else "principal components"
        figures.append((plane(picture), f"Round {picture.round + 1}, {kind}."))
    return figures


def plane(picture: Picture) -> Markup:
    """A picture as points."""
    skewed = [point for point, inside in zip(picture.honest, picture.skewed, strict=True) if inside]
    other = [point for point, inside in zip(picture.honest, picture.skewed, strict=True) if not inside]
    aggregate = [picture.aggregate] if picture.aggregate else []
    of_kind = (skewed, other, sorted(set(picture.byzantine)), [picture.mean], aggregate)
    kinds = [(name, look, points) for (name, look), points in zip(KINDS, of_kind, strict=True) if points]
    return svg.points(f"Updates of round {picture.round + 1} in the plane", kinds)


def _look(number: int) -> str:
    return ("first", "second", "third")[number % 3]


def _percent(lens: Lens, metric: str) -> tuple[Sequence[int], svg.Values]:
    rounds = [metrics for metrics in lens.record.rounds if metrics["lens"]]
    return lens.rounds, _times(100, [metrics[metric] for metrics in rounds])


def _times(factor: float, values: svg.Values) -> list[float | None]:
    return [None if value is None else factor * value for value in values]
