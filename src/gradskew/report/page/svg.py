"""Charts as plain SVG: lines over rounds, points in the plane, a map of clients by rounds, bars.

Each series is one path, and all colours are classes of the style sheet of the page, so that charts are small, print,
and follow a dark scheme. Each chart carries its numbers as CSV in the attribute `data-csv`. Markup escapes names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup

from ...federation.metrics import LEAST
from .chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, clipped, figure, name_below, round_ticks, short, text

SIDE, MARGIN = 150, 14  # of a picture of points; left of and below them, for the names of the axes
ROW, SMALL_ROW = 12, 15  # height of a line of text in a legend, of lines and of points
STYLES = 8  # colours of lines
LONGEST = {1: 44, 2: 19}  # characters of a name in a legend, by the number of its columns

Values = Sequence[float | None]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A series over rounds, counted from 0. style: its class in the style sheet, see `line_style`."""

    name: str
    style: str
    rounds: Sequence[int]
    values: Values


@dataclass(frozen=True)
class Band:
    """A range around a series, round by round."""

    rounds: Sequence[int]
    ranges: Sequence[tuple[float, float] | None]


def lines(
    label: str,
    series: Sequence[Line],
    bands: Sequence[Band] = (),
    *,
    unit: str = "",
    at_least: float | None = None,
    legend: bool = False,
) -> Markup:
    """Draw series over rounds, with gaps where a value is missing.

    unit: of the values, beside the axis. at_least: a value that the axis includes. legend: draw the names of the series
    below.
    """
    known = [value for line in series for value in line.values if value is not None and math.isfinite(value)]
    known += [value for band in bands for pair in band.ranges if pair for value in pair]
    if not known:
        return Markup("")
    low, high = min(known), max(known)
    if at_least is not None:
        low, high = min(low, at_least), max(high, at_least)
    last = max(line.rounds[-1] for line in series if line.rounds)
    axes = Axes(last, low, high)
    drawn = [axes.draw_values(unit), axes.draw_rounds()]
    for band in bands:
        drawn.append(Markup('<path class="band" d="{}"/>').format(_area(axes, band)))
    for line in series:
        title = Markup("<title>{}</title>").format(line.name)
        drawn.append(Markup('<path class="line {}" d="{}">{}</path>').format(line.style, _path(axes, line), title))
    columns = 2 if max(len(line.name) for line in series) <= LONGEST[2] else 1
    if legend:
        drawn += [legend_entry(number, columns, line) for number, line in enumerate(series)]
    height = HEIGHT + (ROW * -(-len(series) // columns) + 4 if legend else 0)
    return figure(label, WIDTH, height, drawn, _numbers_by_round(series, bands))


def legend_entry(number: int, columns: int, line: Line) -> Markup:
    """Draw the name of a line with this number in the legend, beside a piece of the line."""
    x, y = LEFT + (number % columns) * (WIDTH - LEFT) / 2, HEIGHT + ROW * (number // columns) + 8
    sample = Markup('<path class="line {}" d="M{} {}h18"/>').format(line.style, short(x), short(y - 3.5))
    return sample + text(short(x + 22), short(y), "", clipped(line.name, LONGEST[columns]))


def _numbers_by_round(series: Sequence[Line], bands: Sequence[Band]) -> Iterable[Sequence[object]]:
    """Yield the rows of the CSV of lines: a round, counted from 1, and the value of each series in it."""
    columns = [(line.name, dict(zip(line.rounds, line.values, strict=True))) for line in series]
    for i, name in enumerate(("low", "high")):
        for band in bands:
            columns.append((name, {t: pair and pair[i] for t, pair in zip(band.rounds, band.ranges, strict=True)}))
    yield ["round", *(name for name, _ in columns)]
    for round in sorted({round for _, values in columns for round in values}):
        yield [round + 1, *(values.get(round) for _, values in columns)]


def points(
    label: str, kinds: Sequence[tuple[str, str, Points]], *, axes: tuple[str, str] = ("", ""), unit: str = ""
) -> Markup:
    """Draw points in the plane by kind, with a legend below: (name, class, points). SHAPES has the shape of each class.

    axes: their names. unit: of distances, for a bar that shows its length; empty where distances mean nothing.
    """
    every = [point for _, _, of_kind in kinds for point in of_kind]
    xs, ys = [x for x, _ in every], [y for _, y in every]
    extent = max(max(xs) - min(xs), max(ys) - min(ys), LEAST)
    scale = (SIDE - 16) / extent
    middle = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2

    def place(point: tuple[float, float]) -> str:
        x, y = SIDE / 2 + (point[0] - middle[0]) * scale, SIDE / 2 - (point[1] - middle[1]) * scale
        return f"M{short(MARGIN + x)} {short(y)}"

    drawn = []
    for row, (name, kind, of_kind) in enumerate(kinds):
        y = SIDE + MARGIN + SMALL_ROW * (row + 0.5)
        starts = [*map(place, of_kind), f"M{MARGIN} {short(y)}"]  # the last one is in the legend
        path = "".join(start + SHAPES[kind] for start in starts)
        drawn.append(Markup('<path class="{}" d="{}"/>').format(kind, path))
        drawn.append(text(MARGIN + 11, short(y + 2), "axis", name))
    drawn.append(text(MARGIN + SIDE / 2, SIDE + 10, "m axis", axes[0]))
    turned = Markup('<text class="m axis" transform="translate(9 {}) rotate(-90)">{}</text>')
    drawn.append(turned.format(SIDE / 2, axes[1]))
    if unit:
        drawn.append(_bar_of_length(extent, scale, unit))
    numbers: list[Sequence[object]] = [["kind", "x", "y"]]
    numbers += [(name, x, y) for name, _, of_kind in kinds for x, y in of_kind]
    height = SIDE + MARGIN + SMALL_ROW * len(kinds) + 2
    return figure(label, SIDE + MARGIN, height, drawn, numbers, style="square")


def _bar_of_length(extent: float, scale: float, unit: str) -> Markup:
    """Draw a bar of a round length, at most a third of the extent, with its length."""
    power = 10.0 ** math.floor(math.log10(extent / 3))
    length = next(step * power for step in (5, 2, 1) if step * power <= extent / 3 or step == 1)
    bar = Markup('<path class="length" d="M{} {}h{}"/>').format(MARGIN + 4, SIDE - 3, short(length * scale))
    return bar + text(MARGIN + 4, SIDE - 6, "axis", f"{length:g} {unit}")


# A path from a point on for each class: kinds differ in shape as well as in colour.
SHAPES = {
    "skewed": "h0",  # a round dot, by the round cap of a wide line
    "other": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "byzantine": "m-4-4l8 8m0-8l-8 8",
    "mean": "m0-8l2 5.5h6l-5 3.5 2 6-5-3.7-5 3.7 2-6-5-3.5h6z",
    "aggregate": "m0-7l6 7-6 7-6-7z",
}


def shading(label: str, names: Sequence[str], columns: int, marked: Iterable[tuple[int, int]]) -> Markup:
    """Draw a map of clients by rounds with some (row, column) marked. names: of the rows."""
    top, bottom = TOP, HEIGHT - BOTTOM
    width, height = (WIDTH - LEFT - RIGHT) / max(1, columns), (bottom - top) / max(1, len(names))
    by_row: dict[int, list[int]] = {}
    for row, column in marked:
        by_row.setdefault(row, []).append(column)
    path, numbers = "", [["client", "first round", "last round"]]
    for row, columns_of_row in sorted(by_row.items()):
        for first, last in _intervals(sorted(columns_of_row)):
            start, length = LEFT + first * width, (last - first + 1) * width
            across, down = short(length), short(height)
            path += f"M{short(start)} {short(top + row * height)}h{across}v{down}h-{across}z"
            numbers.append([names[row], str(first + 1), str(last + 1)])
    box = Markup('<rect class="frame" x="{}" y="{}" width="{}" height="{}"/>')
    drawn = [box.format(LEFT, top, WIDTH - LEFT - RIGHT, bottom - top), text(2, 10, "", "client")]
    drawn.append(Markup('<path class="marked" d="{}"/>').format(path))
    drawn += [text(LEFT - 4, top + 8, "r", names[0]), text(LEFT - 4, bottom, "r", names[-1])]
    drawn += [text(short(LEFT + (t - 0.5) * width), bottom + 14, "m", t) for t in round_ticks(columns)]
    return figure(label, WIDTH, HEIGHT, [*drawn, name_below("round")], numbers)


def bars(label: str, pairs: Sequence[tuple[str, float | None, float | None]], *, below: str, unit: str) -> Markup:
    """Draw bars of values from 0 to 100: (name, value of the reference, drawn pale and behind, value).

    below: what the names are. unit: of the values.
    """
    width = (WIDTH - LEFT - RIGHT) / max(1, len(pairs))
    axes = Axes(1, 0, 100)
    behind = before = ""
    for i, (_, reference, value) in enumerate(pairs):
        for share, height in ((0.8, reference), (0.45, value)):
            if height is None:
                continue
            x, top = LEFT + (i + (1 - share) / 2) * width, float(axes.y(height))
            bar = f"M{short(x)} {axes.y(0)}V{short(top)}h{short(share * width)}V{axes.y(0)}z"
            behind, before = (behind + bar, before) if share == 0.8 else (behind, before + bar)
    drawn = [axes.draw_values(unit)]
    step = max(1, len(pairs) // 12)
    for i, (name, _, _) in enumerate(pairs):
        if i % step == 0:
            drawn.append(text(short(LEFT + (i + 0.5) * width), HEIGHT - BOTTOM + 14, "m", name))
    drawn.append(Markup('<path class="behind" d="{}"/><path class="bar" d="{}"/>').format(behind, before))
    numbers = [[below, "without an attack", "attacked"], *pairs]
    return figure(label, WIDTH, HEIGHT, [*drawn, name_below(below)], numbers)


def line_style(number: int) -> str:
    """Return the classes of the line with this number: eight colours, then the same with other dashes."""
    return f"c{number % STYLES} d{number // STYLES % 3}"


def _path(axes: Axes, line: Line) -> str:
    """Return the path through the known values, in steps, which are shorter than places; one between gaps is a dot."""
    path, last = [], None
    for round, value in zip(line.rounds, line.values, strict=True):
        if value is None or not math.isfinite(value):
            last = None
            continue
        x, y = float(axes.x(round)), float(axes.y(value))  # rounded, so that the steps add up to the places
        path.append(f"M{short(x)} {short(y)}h0" if last is None else f"l{_step(x - last[0])} {_step(y - last[1])}")
        last = x, y
    return "".join(path).replace(" -", "-")


_step = lru_cache(maxsize=10_000)(short)  # few steps differ, as places have one decimal


def _area(axes: Axes, band: Band) -> str:
    known = [(round, pair) for round, pair in zip(band.rounds, band.ranges, strict=True) if pair]
    upper = [f"{axes.x(round)} {axes.y(high)}" for round, (_, high) in known]
    lower = [f"{axes.x(round)} {axes.y(low)}" for round, (low, _) in reversed(known)]
    return f"M{'L'.join(upper + lower)}z"


def _intervals(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and the last of each sequence of consecutive numbers."""
    intervals: list[tuple[int, int]] = []
    for number in numbers:
        if intervals and intervals[-1][1] == number - 1:
            intervals[-1] = (intervals[-1][0], number)
        else:
            intervals.append((number, number))
    return intervals
