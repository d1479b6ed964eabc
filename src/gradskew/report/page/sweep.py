"""The section of the page on all its federations: curves over the options in which they differ, tables by value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ..beside import Beside
from ..cell import Cell
from ..settings import Axis, value_text
from ..sweep import WORST, Curve, Lines, Sweep
from . import svg
from .chart import BOTTOM, HEIGHT, WIDTH, Axes, figure, name_below, text
from .parts import Figure, Sheet, over_seeds

WIDEST = 0.4  # the room of the points of one value, as a part of the distance to the next


@dataclass(frozen=True)
class Choice:
    """One of several things of which a reader sees one: its id on the page, its name, charts or a table."""

    anchor: str
    name: str
    figures: Sequence[Figure] = ()
    sheet: Sheet | None = None


@dataclass(frozen=True)
class SweepSection:
    """What the template reads."""

    sweep: Sweep

    @property
    def summary(self) -> str:
        return self.sweep.summary

    @property
    def charts(self) -> list[tuple[str, list[Choice]]]:
        """For each axis of numbers its name, and the charts for each combination of the other axes' values."""
        made = []
        for place, axis in enumerate(self.sweep.axes):
            curves = [curve for curve in self.sweep.curves if curve.axis is axis]
            choices = [
                Choice(f"sweep-{place}-{number}", curve.where, self._figures(curve))
                for number, curve in enumerate(curves)
            ]
            made += [(axis.label, choices)] if choices else []
        return made

    def _figures(self, curve: Curve) -> list[Figure]:
        panels = [(panel, self.sweep.lines(panel, curve.tables)) for panel in self.sweep.panels]
        return [_chart(panel, curve, lines) for panel, lines in panels if lines]

    @property
    def sheets(self) -> list[Choice]:
        """A table for each panel, with a row for each federation."""
        return sheets("sweep-table", self.sweep)


def sheets(anchor: str, shown: Sweep | Beside) -> list[Choice]:
    """Return a table for each panel of a sweep, or of folders side by side. anchor: the beginning of their ids."""
    panels = enumerate(shown.panels)
    return [Choice(f"{anchor}-{number}", panel, sheet=Sheet(*shown.sheet(panel))) for number, panel in panels]


def _chart(panel: str, curve: Curve, lines: Lines) -> Figure:
    seeds = max(len(cell.by_seed) for _, cells in lines for cell in cells if cell is not None)
    under = {WORST: "the worst found", "none": "without an attack"}.get(panel, f"under {panel}")
    where = f"; {curve.where}" if curve.fixed else ""
    drawn = over_values(f"Test {curve.measure} by {curve.axis.name}, {under}{where}", curve, lines)
    return drawn, f"{under[0].upper()}{under[1:]}{over_seeds(seeds)}, with 95 % intervals{where}."


def over_values(label: str, curve: Curve, lines: Lines) -> Markup:
    """Draw accuracies over the values of an axis, at equal distances: a line for each rule, with its intervals."""
    ranges = [_range(cell) for _, cells in lines for cell in cells if cell is not None]
    axis = curve.axis
    axes = Axes(len(axis.values), min(low for low, _ in ranges), max(high for _, high in ranges))
    drawn = [axes.draw_values(f"test {curve.measure}, %")]
    for place, value in enumerate(axis.values):
        drawn.append(text(axes.x(place + 0.5), HEIGHT - BOTTOM + 14, "m", value_text(value)))
    drawn.append(name_below(axis.label))
    styled = [svg.Line(rule, svg.line_style(number), [], []) for number, (rule, _) in enumerate(lines)]
    for number, (line, (_, cells)) in enumerate(zip(styled, lines, strict=True)):
        shift = WIDEST * ((number + 0.5) / len(lines) - 0.5)
        drawn.append(_draw(axes, line, [(place + 0.5 + shift, cell) for place, cell in enumerate(cells)]))
    columns = 2 if max(len(line.name) for line in styled) <= svg.LONGEST[2] else 1
    drawn += [svg.legend_entry(number, columns, line) for number, line in enumerate(styled)]
    height = HEIGHT + svg.ROW * -(-len(styled) // columns) + 4
    return figure(label, WIDTH, height, drawn, _numbers(axis, lines))


def _draw(axes: Axes, line: svg.Line, points: Iterable[tuple[float, Cell | None]]) -> Markup:
    """Draw the line of a rule, broken where a value has no cell, its points and their intervals."""
    path, dots, intervals, joined = "", "", "", False
    for x, cell in points:
        if cell is None:
            joined = False
            continue
        at = f"{axes.x(x)} {axes.y(cell.mean)}"
        low, high = _range(cell)
        path += f"{'L' if joined else 'M'}{at}"
        dots += f"M{at}h0"
        intervals += f"M{axes.x(x)} {axes.y(low)}V{axes.y(high)}"
        joined = True
    drawn = Markup('<path class="interval {0}" d="{1}"/><path class="line {2}" d="{3}"><title>{4}</title></path>')
    colour = line.style.split()[0]
    return drawn.format(colour, intervals, line.style, path, line.name) + Markup(
        '<path class="dot {}" d="{}"/>'
    ).format(colour, dots)


def _range(cell: Cell) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a cell, as far as an accuracy can be."""
    half = cell.half_width or 0.0
    return max(0.0, cell.mean - half), min(100.0, cell.mean + half)


def _numbers(axis: Axis, lines: Lines) -> Iterable[Sequence[object]]:
    yield [axis.name, "rule", "mean", "low", "high"]
    for rule, cells in lines:
        for value, cell in zip(axis.values, cells, strict=True):
            if cell is not None:
                yield [value_text(value), rule, cell.mean, *_range(cell)]
