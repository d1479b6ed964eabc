"""The parts of a chart as SVG: its frame, its numbers as CSV, axes over rounds, texts."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from ...core.csv_text import disarm
from ...federation.metrics import LEAST

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 18, 32  # around the plot
DIGIT = 6.4  # width of a digit in a text of 10 px, at most


def figure(
    label: str,
    width: float,
    height: float,
    parts: Iterable[Markup],
    numbers: Iterable[Sequence[object]],
    *,
    style: str = "",
) -> Markup:
    """Return a chart with its numbers, rows of a CSV of which the first is the head. style: its class."""
    head = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}" data-csv="{}">')
    drawn = Markup("").join(parts) + Markup("</svg>")
    return head.format(style, short(width), short(height), label, to_csv(numbers)) + drawn


def to_csv(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV: numbers with six digits, None and NaN empty; a spreadsheet takes no text for a formula."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows([[_csv_value(value) for value in row] for row in rows])
    return content.getvalue()


def _csv_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else disarm(value) if isinstance(value, str) else str(value)


def text(x: float | str, y: float | str, style: str, content: object) -> Markup:
    """Draw a text. style: `r` ends at x, `m` is centred on x; a further class for its size or weight."""
    return Markup(f'<text x="{x}" y="{y}" class="{style}">{escape(content)}</text>')


def clipped(name: str, longest: int) -> Markup:
    """Return a name for a text of a chart; a longer one is cut, and shown in full under the pointer."""
    if len(name) <= longest:
        return Markup.escape(name)
    return Markup("{}…<title>{}</title>").format(name[: longest - 1], name)


def short(value: float) -> str:
    """Format with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


class Axes:
    """A scale for rounds, from 0 to the last, and one for values, with their ticks."""

    def __init__(self, last: int, low: float, high: float):
        self.last = max(1, last)
        ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(*_told_apart(low, high))
        self.ticks, self.low, self.high = [float(tick) for tick in ticks], float(ticks[0]), float(ticks[-1])
        self.labels = [f"{tick:g}" for tick in self.ticks]
        self.left = max(LEFT, 6 + DIGIT * max(map(len, self.labels)))

    def x(self, round: float) -> str:
        return _across(self.left, round, self.last)

    def y(self, value: float) -> str:
        share = (value - self.low) / (self.high - self.low)
        return short(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share))

    def draw_values(self, unit: str) -> Markup:
        """Draw the grid, the labels of its ticks and the unit of the values."""
        left, heights = short(self.left), [self.y(tick) for tick in self.ticks]
        grid = "".join(f"M{left} {y}H{WIDTH - RIGHT}" for y in heights)
        at = short(self.left - 4)
        labels = [text(at, _baseline(y), "r", label) for y, label in zip(heights, self.labels, strict=True)]
        return Markup('<path class="grid" d="{}"/>').format(grid) + Markup("").join([*labels, text(2, 10, "", unit)])

    def draw_rounds(self) -> Markup:
        """Draw the labels of the rounds, which are counted from 1 for readers."""
        labels = [text(self.x(tick - 1), HEIGHT - BOTTOM + 14, "m", tick) for tick in round_ticks(self.last + 1)]
        return Markup("").join([*labels, name_below("round")])


@lru_cache(maxsize=10_000)
def _across(left: float, round: float, last: int) -> str:
    """Return the place of a round. left: the place of the first one."""
    return short(left + (WIDTH - left - RIGHT) * round / last)


def _told_apart(low: float, high: float) -> tuple[float, float]:
    """Return a range that holds the values, wide enough that its ticks differ in six digits; with 0 for a constant."""
    size = max(abs(low), abs(high))
    if size < LEAST:
        return 0.0, 1.0
    missing = 1e-3 * size - (high - low)
    if missing <= 0:
        return low, high
    if high - low <= 1e-9 * size:
        return min(0.0, low), max(0.0, high)
    return low - missing / 2, high + missing / 2


def name_below(name: str) -> Markup:
    return text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, "m", name)


@cache
def round_ticks(count: int) -> list[int]:
    """Return a few round numbers from 1 to the count."""
    ticks = MaxNLocator(5, integer=True).tick_values(0, max(1, count))
    return sorted({max(1, int(tick)) for tick in ticks if 0 <= tick <= count})


def _baseline(y: str) -> str:
    """Return where a text of 10 px begins whose middle is at y."""
    return short(float(y) + 3.5)
