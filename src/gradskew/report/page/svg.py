"""Charts as plain SVG: lines over rounds, points in the plane, a map of clients by rounds, bars.

Each series is one path, and all colours are classes of the style sheet of the page, so that charts are small, print,
and follow a dark scheme. Markup escapes names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from ...federation.metrics import LEAST

WIDTH, HEIGHT = 320, 170
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 8, 22  # around the plot
SIDE = 150  # of a picture of points

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


class Axes:
    """A scale for rounds, from 0 to the last, and one for values, with their ticks."""

    def __init__(self, last: int, low: float, high: float):
        self.last = max(1, last)
        ticks = [float(tick) for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
        self.ticks, self.low, self.high = ticks, ticks[0], ticks[-1]

    def x(self, round: float) -> str:
        return _short(LEFT + (WIDTH - LEFT - RIGHT) * round / self.last)

    def y(self, value: float) -> str:
        share = (value - self.low) / (self.high - self.low)
        return _short(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share))

    def draw(self) -> Markup:
        """Draw the grid and the labels of the ticks; rounds are counted from 1 for readers."""
        grid = "".join(f"M{LEFT} {self.y(tick)}H{WIDTH - RIGHT}" for tick in self.ticks)
        labels = [_text(LEFT - 4, _baseline(self.y(tick)), "r", f"{tick:g}") for tick in self.ticks]
        labels += [_text(self.x(tick - 1), HEIGHT - 6, "m", tick) for tick in _rounds(self.last + 1)]
        return Markup('<path class="grid" d="{}"/>').format(grid) + Markup("").join(labels)


def lines(label: str, series: Sequence[Line], bands: Sequence[Band] = (), *, at_least: float | None = None) -> Markup:
    """Draw series over rounds, with gaps where a value is missing. at_least: a value that the axis includes."""
    known = [value for line in series for value in line.values if value is not None and math.isfinite(value)]
    known += [value for band in bands for pair in band.ranges if pair for value in pair]
    if not known:
        return Markup("")
    low, high = min(known), max(known)
    if at_least is not None:
        low, high = min(low, at_least), max(high, at_least)
    last = max(line.rounds[-1] for line in series if line.rounds)
    axes = Axes(last, low, high if high > low else low + 1)
    drawn = [axes.draw()]
    for band in bands:
        drawn.append(Markup('<path class="band" d="{}"/>').format(_area(axes, band)))
    for line in series:
        title = Markup("<title>{}</title>").format(line.name)
        drawn.append(Markup('<path class="line {}" d="{}">{}</path>').format(line.style, _path(axes, line), title))
    return _figure(label, WIDTH, HEIGHT, drawn)


def points(label: str, kinds: Sequence[tuple[str, str, Points]]) -> Markup:
    """Draw points in the plane by kind: (name, class, points). SHAPES has the shape of each class."""
    every = [point for _, _, of_kind in kinds for point in of_kind]
    xs, ys = [x for x, _ in every], [y for _, y in every]
    scale = (SIDE - 16) / max(max(xs) - min(xs), max(ys) - min(ys), LEAST)
    middle = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2

    def place(point: tuple[float, float]) -> str:
        x, y = SIDE / 2 + (point[0] - middle[0]) * scale, SIDE / 2 - (point[1] - middle[1]) * scale
        return f"M{_short(x)} {_short(y)}"

    drawn = []
    for name, kind, of_kind in kinds:
        path = "".join(place(point) + SHAPES[kind] for point in of_kind)
        drawn.append(Markup('<path class="{}" d="{}"><title>{}</title></path>').format(kind, path, name))
    return _figure(label, SIDE, SIDE, drawn)


# A path from a point on for each class: kinds differ in shape as well as in colour.
SHAPES = {
    "skewed": "h0",  # a round dot, by the round cap of a wide line
    "other": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "byzantine": "m-4-4l8 8m0-8l-8 8",
    "mean": "m0-8l2 5.5h6l-5 3.5 2 6-5-3.7-5 3.7 2-6-5-3.5h6z",
    "aggregate": "m0-7l6 7-6 7-6-7z",
}


def shading(label: str, rows: int, columns: int, marked: Iterable[tuple[int, int]]) -> Markup:
    """Draw a map of rows by columns with some (row, column) marked."""
    width, height = (WIDTH - LEFT - RIGHT) / max(1, columns), 150 / max(1, rows)
    by_row: dict[int, list[int]] = {}
    for row, column in marked:
        by_row.setdefault(row, []).append(column)
    path = ""
    for row, columns_of_row in sorted(by_row.items()):
        for first, last in _intervals(sorted(columns_of_row)):
            start, length = LEFT + first * width, (last - first + 1) * width
            across, down = _short(length), _short(height)
            path += f"M{_short(start)} {_short(TOP + row * height)}h{across}v{down}h-{across}z"
    box = Markup('<rect class="frame" x="{}" y="{}" width="{}" height="150"/>')
    drawn = [box.format(LEFT, TOP, WIDTH - LEFT - RIGHT), Markup('<path class="marked" d="{}"/>').format(path)]
    drawn += [_text(_short(LEFT + (t - 0.5) * width), HEIGHT + 2, "m", t) for t in _rounds(columns)]
    return _figure(label, WIDTH, HEIGHT + 8, drawn)


def bars(label: str, pairs: Sequence[tuple[str, float | None, float | None]]) -> Markup:
    """Draw bars of values from 0 to 100: (name, value of the reference, drawn pale and behind, value)."""
    width = (WIDTH - LEFT - RIGHT) / max(1, len(pairs))
    axes = Axes(1, 0, 100)
    behind = before = ""
    for i, (_, reference, value) in enumerate(pairs):
        for share, height in ((0.8, reference), (0.45, value)):
            if height is None:
                continue
            x, top = LEFT + (i + (1 - share) / 2) * width, float(axes.y(height))
            bar = f"M{_short(x)} {axes.y(0)}V{_short(top)}h{_short(share * width)}V{axes.y(0)}z"
            behind, before = (behind + bar, before) if share == 0.8 else (behind, before + bar)
    grid = "".join(f"M{LEFT} {axes.y(tick)}H{WIDTH - RIGHT}" for tick in axes.ticks)
    drawn = [Markup('<path class="grid" d="{}"/>').format(grid)]
    drawn += [_text(LEFT - 4, _baseline(axes.y(tick)), "r", f"{tick:g}") for tick in axes.ticks]
    step = max(1, len(pairs) // 12)
    for i, (name, _, _) in enumerate(pairs):
        if i % step == 0:
            drawn.append(_text(_short(LEFT + (i + 0.5) * width), HEIGHT - 6, "m", name))
    drawn.append(Markup('<path class="behind" d="{}"/><path class="bar" d="{}"/>').format(behind, before))
    return _figure(label, WIDTH, HEIGHT, drawn)


def mark(kind: str) -> Markup:
    """Draw the mark of a class of points, for a legend."""
    path = Markup('<svg class="mark" viewBox="-10 -10 20 20" aria-hidden="true"><path class="{}" d="M0 0{}"/></svg>')
    return path.format(kind, SHAPES[kind])


def line_style(number: int) -> str:
    """Return the class of the line with this number: three differ in colour and in dashes."""
    return ("first", "second", "third")[number % 3]


def _figure(label: str, width: int, height: int, parts: Iterable[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, label)
    return head + Markup("").join(parts) + Markup("</svg>")


def _path(axes: Axes, line: Line) -> str:
    """Return the path through the known values; a value between two gaps is a dot."""
    path, connected = [], False
    for round, value in zip(line.rounds, line.values, strict=True):
        if value is None or not math.isfinite(value):
            connected = False
            continue
        path.append(f"{'L' if connected else 'M'}{axes.x(round)} {axes.y(value)}" + ("" if connected else "h0"))
        connected = True
    return "".join(path)


def _area(axes: Axes, band: Band) -> str:
    known = [(round, pair) for round, pair in zip(band.rounds, band.ranges, strict=True) if pair]
    upper = [f"{axes.x(round)} {axes.y(high)}" for round, (_, high) in known]
    lower = [f"{axes.x(round)} {axes.y(low)}" for round, (low, _) in reversed(known)]
    return f"M{'L'.join(upper + lower)}z"


def _text(x: float | str, y: float | str, style: str, content: object) -> Markup:
    return Markup('<text x="{}" y="{}" class="{}">{}</text>').format(x, y, style, content)


def _rounds(count: int) -> list[int]:
    """Return a few round numbers from 1 to the count."""
    ticks = MaxNLocator(5, integer=True).tick_values(0, max(1, count))
    return sorted({max(1, int(tick)) for tick in ticks if 0 <= tick <= count})


def _intervals(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and the last of each sequence of consecutive numbers."""
    intervals: list[tuple[int, int]] = []
    for number in numbers:
        if intervals and intervals[-1][1] == number - 1:
            intervals[-1] = (intervals[-1][0], number)
        else:
            intervals.append((number, number))
    return intervals


def _short(value: float) -> str:
    """Format with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def _baseline(y: str) -> str:
    """Return where a text of 10 px begins whose middle is at y."""
    return _short(float(y) + 3.5)
