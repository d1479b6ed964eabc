"""The rules as bars, the one with the highest worst found first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...federation.curve import RISING
from ..cell import Cell
from ..described import count
from ..standing import Standing
from ..table import Table
from .chart import clipped, figure, short, text
from .parts import Figure

WIDTH, ROW, AXIS = 360, 57, 26  # of the chart, of a rule, and of the axis below
BAR, THICK = 15, 10  # top of a bar in its row, and its height
LONGEST = 28  # characters of a rule's name
LONGEST_LINE = 74  # characters of what found the worst
HEAD = (
    "rule",
    "remark",
    "found by",
    "federations",
    "worst found",
    "low",
    "high",
    "without attack",
    "cost without attack",
)


@dataclass(frozen=True)
class Ranked:
    """A rule in the ranking. remark: why it is no defence here, if it is none. cost: see `ranked`."""

    standing: Standing
    remark: str
    cost: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the worst found in %, within 0 and 100."""
        half, mean = self.standing.half_width, self.standing.worst.mean
        return None if half is None else (max(0.0, mean - half), min(100.0, mean + half))


def ranked(table: Table) -> list[Ranked]:
    """Return the attacked rules: the defences with the highest worst found first, then those that are none.

    The cost without an attack is in points below the plain mean, else below the best rule, each without an attack.
    """
    usual = {rule: cell.mean for (attack, rule), cell in table.cells.items() if attack == "none" and cell.has_ended}
    reference = usual.get(table.baseline or "", max(usual.values(), default=None))
    remarks = dict.fromkeys(table.idle, "is the mean here") | dict.fromkeys(table.unmoved, "never moved")
    remarks |= dict.fromkeys(table.unasked, "not judged")
    remarks |= {table.baseline: "no defence"} if table.baseline else {}
    others = sorted(
        (each for each in table.standings.values() if each.rule in remarks), key=lambda each: -each.worst.mean
    )

    def cost(rule: str) -> float | None:
        return None if reference is None or rule not in usual else reference - usual[rule]

    return [Ranked(each, remarks.get(each.rule, ""), cost(each.rule)) for each in [*table.ranked, *others]]


def ranking(table: Table) -> Figure | None:
    """Draw the ranking with its caption; None without an attack."""
    rules = ranked(table)
    if not rules:
        return None
    drawn = [part for number, each in enumerate(rules) for part in _row(number * ROW, each)]
    height = len(rules) * ROW + AXIS
    drawn += [text(_x(tick), height - 14, "m", tick) for tick in (0, 25, 50, 75, 100)]
    drawn.append(text(WIDTH / 2, height - 2, "m", f"test {table.measure}, %"))
    than = f"that of {table.baseline}" if table.baseline else "the best"
    caption = (
        "Bar: the worst found, the least accuracy at the end over the attacks of each seed, with its 95 % interval; "
        "pale: without an attack; tick: mean over the attacks."
    )
    if any(cell.rises for each in rules for cell in _cells(each.standing)):
        caption += f" {RISING}: still rising at the end."
    if any(each.cost is not None for each in rules):
        caption += f" Cost: points below {than} without an attack."
    return figure("Rules by the worst found", WIDTH, height, drawn, _numbers(rules)), caption


def _row(y: float, each: Ranked) -> Sequence[Markup]:
    standing = each.standing
    worst, usual, low_high = standing.worst.mean, standing.usual, each.interval
    between = f" ({low_high[0]:.1f} to {low_high[1]:.1f})" if low_high else ""
    name = f"{standing.rule} ({each.remark})" if each.remark else standing.rule
    parts = [text(_x(0), y + 11, "strong", clipped(name, LONGEST))]
    parts.append(text(_x(100), y + 11, "r", f"{_percent(worst, standing.worst)}{between}"))
    parts += [_bar("behind", y, usual.mean)] if usual else []
    parts.append(_bar("bar" if not each.remark else "bar none", y, worst))
    middle = y + BAR + THICK / 2
    if low_high:
        whisker = "M{0} {2}H{1}M{0} {3}v6M{1} {3}v6"
        ends = whisker.format(short(_x(low_high[0])), short(_x(low_high[1])), short(middle), short(middle - 3))
        parts.append(Markup('<path class="whisker" d="{}"/>').format(ends))
    tick = Markup('<path class="tick" d="M{} {}v{}"/>')
    parts.append(tick.format(short(_x(standing.average)), short(y + BAR - 2), THICK + 4))
    cost = "" if each.cost is None else f" (cost {each.cost:.1f})"
    left = f"{_percent(usual.mean, usual)} without attack{cost}" if usual else ""
    below = y + BAR + THICK + 11
    parts.append(text(_x(0), below, "small", left))
    average = _percent(standing.average, *standing.attacked.values())
    parts.append(text(_x(100), below, "r small", f"{average} on average"))
    by = f"worst found in {count(standing.federations, 'federation')}: {', '.join(standing.finders)}"
    return [*parts, text(_x(0), below + 11, "small", clipped(by, LONGEST_LINE))]


def _cells(standing: Standing) -> list[Cell]:
    """Return all cells of a rule."""
    return [*standing.attacked.values(), *filter(None, [standing.usual])]


def _percent(accuracy: float, *cells: Cell) -> str:
    """Return an accuracy as text, with a mark if the curve of a cell that it comes from still rises."""
    return f"{accuracy:.1f}{RISING * any(cell.rises for cell in cells)} %"


def _bar(style: str, y: float, value: float) -> Markup:
    path = Markup('<path class="{}" d="M{} {}H{}v{}H{}z"/>')
    return path.format(style, _x(0), y + BAR, short(_x(value)), THICK, _x(0))


def _x(accuracy: float) -> float:
    """Return where an accuracy lies; the labels of 0 and 100 need room beside the axis."""
    return 4 + (WIDTH - 16) * accuracy / 100


def _numbers(rules: Sequence[Ranked]) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = [[*HEAD, "mean over attacks", "worst found still rises"]]
    for each in rules:
        standing, (low, high) = each.standing, each.interval or (None, None)
        usual = standing.usual.mean if standing.usual else None
        names = (standing.rule, each.remark, ", ".join(standing.finders), standing.federations)
        rows.append(
            [*names, standing.worst.mean, low, high, usual, each.cost, standing.average, int(standing.worst.rises)]
        )
    return rows
