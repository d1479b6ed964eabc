"""A picture of who holds what: the training inputs of each client, by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...runs.record import Record
from ..holders import Deal, deals, held_by_few
from .chart import LEFT, TOP, WIDTH, figure, short, text
from .parts import Figure

LEVELS = 8  # of opacity in the style sheet
RIGHT = 62  # beside the cells: for two numbers of each class
GAP = 5  # between Byzantine and honest clients
MOST_DRAWN, MOST_CELLS = 200, 20_000  # clients, and clients times classes
LEAST_ROW, HEIGHT = 10, 150  # height of a row with a text, and of all rows where they need no more


@dataclass(frozen=True)
class Holdings:
    """The picture of one seed. anchor: its id on the page. name: of the seed, as text."""

    anchor: str
    name: str
    figure: Figure


def holdings(records: Sequence[Record], number: int) -> list[Holdings]:
    """Return the picture of each seed of the records that have class counts. number: of the section on the page."""
    return [
        Holdings(f"deal-{number}-{deal.seed}", f"{deal.seed}", (_chart(deal), _caption(deal)))
        for deal in deals(records)
    ]


def _caption(deal: Deal) -> str:
    step = _step(deal)
    some = "" if step == 1 else f" One client in {step} is drawn, and the records have all, which these numbers count."
    return (
        f"Seed {deal.seed}: clients across, classes down; the fuller the colour, the more inputs, up to "
        f"{_largest(deal)}. On the right: how many honest clients hold half and 90 % of a class.{some} "
        f"{held_by_few([deal])}"
    )


def _largest(deal: Deal) -> int:
    return max(1, *(max(counts) for counts in deal.counts))


def _step(deal: Deal) -> int:
    most = max(1, min(MOST_DRAWN, MOST_CELLS // len(deal.counts[0])))
    return -(-len(deal.counts) // most)


def _chart(deal: Deal) -> Markup:
    classes = len(deal.counts[0])
    high = max(HEIGHT / classes, 3) if classes > HEIGHT / LEAST_ROW else HEIGHT / max(classes, 8)
    drawn = [range(0, deal.byzantine, _step(deal)), range(deal.byzantine, len(deal.counts), _step(deal))]
    gap = GAP if deal.byzantine else 0
    wide = (WIDTH - LEFT - RIGHT - gap) / sum(map(len, drawn))
    starts = [LEFT, LEFT + gap + wide * len(drawn[0])]
    bottom = TOP + high * classes
    parts = [text(2, 10, "", "class"), text(WIDTH - 34, 10, "r", "half"), text(WIDTH - 2, 10, "r", "90 %")]
    few = set(deal.few)
    every = -(-LEAST_ROW // int(high)) if high < LEAST_ROW else 1
    for label in range(0, classes, every):
        y, style = short(TOP + high * (label + 0.5) + 3.5), "r strong" if label in few else "r"
        parts.append(text(LEFT - 4, y, style, label))
        parts += [text(WIDTH - 34, y, style, deal.half[label]), text(WIDTH - 2, y, style, deal.most[label])]
    for kind, clients, start in zip(("bad", "good"), drawn, starts, strict=True):
        if clients:
            size = short(wide * len(clients)), short(bottom - TOP)
            box = '<rect class="frame" x="{}" y="{}" width="{}" height="{}"/>'
            parts.append(Markup(box).format(short(start), TOP, *size))
            parts += _cells(deal, kind, clients, start, wide, high)
    parts += _legend(deal, bottom + 12)
    numbers: list[Sequence[object]] = [["client", "kind", *(f"class {label}" for label in range(classes))]]
    for kind, clients in zip(("Byzantine", "honest"), drawn, strict=True):
        numbers += [[client, kind, *deal.counts[client]] for client in clients]
    return figure(f"Inputs of each class by client, seed {deal.seed}", WIDTH, bottom + 20, parts, numbers)


def _cells(deal: Deal, kind: str, clients: Sequence[int], start: float, wide: float, high: float) -> list[Markup]:
    """Draw the cells of these clients, one path for each level of opacity."""
    paths, largest = [""] * LEVELS, _largest(deal)
    for place, client in enumerate(clients):
        for label, count in enumerate(deal.counts[client]):
            if count:
                x, y = short(start + place * wide), short(TOP + label * high)
                paths[-(-count * LEVELS // largest) - 1] += f"M{x} {y}h{wide:.3g}v{high:.3g}h-{wide:.3g}z"
    made = '<path class="{} o{}" d="{}"/>'
    return [Markup(made).format(kind, level, path) for level, path in enumerate(paths) if path]


def _legend(deal: Deal, y: float) -> list[Markup]:
    """Draw below what the colours are."""
    kinds = [("good", "honest clients", len(deal.honest)), ("bad", "Byzantine clients", deal.byzantine)]
    parts, x = [], float(LEFT)
    for kind, name, count in kinds:
        if count:
            parts.append(Markup('<path class="{}" d="M{} {}h9v9h-9z"/>').format(kind, short(x), short(y - 7)))
            parts.append(text(short(x + 13), short(y + 1), "", f"{count} {name}"))
            x += 120
    return parts
