"""Draw figures as PDF and PNG: a table's heatmap, and embedded rows as in Figures 1 and 2 of Liu et al., AAAI 2025."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.artist import Artist
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from ..core.errors import check, check_number
from ..federation.curve import RISING
from ..skew import Picture
from .table import Table
from .titles import in_lines, title

# Blue to pale yellow to red: distinct to the colour-blind, and light enough for black numbers.
DPI, MOST = 150, 8_000  # dots per inch; pixels a side
SHADES = [colormaps["RdYlBu_r"](0.16 + 0.68 * step / 16) for step in range(17)]
BLUE, GREY, GREEN, PINK, ORANGE = "#1f5fa8", "#66758c", "#1a9641", "#d6006c", "#c25100"
FONT = 7.5  # points
COLUMN, PAGE = 3.4, 7.0  # inches: the width of one column of text, and of two
LETTER = 0.085  # inches of a letter of a name in the heatmap


def shade(harm: float) -> str:
    """Return the colour of a level of harm, 0 to 1, as #rrggbb."""
    return to_hex(SHADES[round(16 * min(1.0, max(0.0, harm)))])


def heatmap(table: Table) -> bytes:
    """Return a PNG of the table's panels: accuracy, Byzantine share of the weights, distance of the aggregate."""
    panels, attacks, rules = table.panels(), table.attacks, table.rules
    turned: dict[str, Any] = {}
    beside, below = max(2.0, 0.6 + LETTER * max(map(len, attacks))), 0.4  # inches of names
    width = max(8.0, beside + 0.95 * len(rules))
    column, lengths = (width - beside) / len(rules), [0, *map(len, rules), 0]
    if any(LETTER * (left + right) / 2 > column for left, right in pairwise(lengths)):
        turned, rules = {"rotation": 20, "ha": "right"}, [in_lines(rule) for rule in rules]
        lines = [rule.split("\n") for rule in rules]
        below = max(below, max(0.35 * LETTER * max(map(len, each)) + 0.17 * len(each) for each in lines))
    height = 0.6 + below + 0.36 * len(attacks)
    figure = Figure(figsize=(width, len(panels) * height + 0.4), layout="constrained")
    figure.suptitle(table.federation, fontsize=8, parse_math=False, wrap=True)
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        _draw_panel(axis, panel.entries, table.attacks, table.rules, 9)
        axis.set_xticks(range(len(rules)), rules, parse_math=False, **turned)
        axis.set_yticks(range(len(attacks)), attacks, parse_math=False)
        axis.set_title(panel.title, fontsize=10, loc="left")
    return save(figure, "png", {"Software": None}, min(DPI, *(MOST / side for side in figure.get_size_inches())))


def column_heatmap(table: Table) -> bytes:
    """Return a PDF of the mean accuracies, in text of 7 points, 5 at least, for one column of print.

    A table of more rules than fit gets a wider figure. The same table gives the same bytes.
    """
    cells, shades = table.cells.items(), table.panels()[0].entries
    entries = {key: (f"{cell.mean:.1f}{RISING * cell.rises}", shades[key][1]) for key, cell in cells}
    attacks, rules = list(map(title, table.attacks)), list(map(title, table.rules))
    beside, below = (0.06 * max(map(len, names)) for names in (attacks, rules))  # inches of a name
    size = min(7.0, max(5.0, 25 * (COLUMN - beside) / len(rules)))
    width, height = beside + size * len(rules) / 25, 0.4 + below + 0.022 * size * len(attacks)
    with rc_context({"font.size": size, "pdf.fonttype": 42}):
        figure = Figure(figsize=(max(COLUMN, width), height), layout="constrained")
        axes = figure.subplots()
        _draw_panel(axes, entries, table.attacks, table.rules, size, edge=0.2)
        turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(rules)), rules, parse_math=False, **turned)
        axes.set_yticks(range(len(attacks)), attacks, parse_math=False)
        return save(figure, "pdf", {"CreationDate": None})


class _Texts(Artist):
    """Texts in the middle of the cells of a heatmap, row by row, drawn by one artist: one each would take 10 kB.

    size: in points.
    """

    def __init__(self, texts: Sequence[Sequence[str]], size: float):
        super().__init__()
        self.texts, self.size = texts, size
        self.set(zorder=Text.zorder, in_layout=False)

    def draw(self, renderer: Any) -> None:
        drawn = Text(ha="center", va="center", fontsize=self.size, transform=self.get_transform(), figure=self.figure)
        for i, row in enumerate(self.texts):
            for j, text in enumerate(row):
                drawn.set(position=(j, i), text=text)
                drawn.draw(renderer)


def _draw_panel(
    axes: Any,
    entries: Mapping[tuple[str, str], tuple[str, float]],
    attacks: Sequence[str],
    rules: Sequence[str],
    size: float,
    edge: float = 0,
) -> None:
    """Draw a panel of a heatmap, with text of a size in points; a cell without an entry stays white.

    edge: width of the edge of a cell in its colour, in points: without one, a PDF has seams on a screen.
    """
    harm = [[entries.get((attack, rule), ("", math.nan))[1] for rule in rules] for attack in attacks]
    colours = LinearSegmentedColormap.from_list("harm", SHADES)
    places = [np.arange(len(names) + 1) - 0.5 for names in (rules, attacks)]
    axes.pcolormesh(*places, harm, cmap=colours, vmin=0, vmax=1, edgecolors="face", linewidth=edge)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.add_artist(_Texts([[entries.get((attack, rule), ("–", 0))[0] for rule in rules] for attack in attacks], size))


def lle_figure(
    pictures: Sequence[Picture],
    title: str,
    *,
    columns: int = 3,
    names: Sequence[str] | None = None,
    sender: str = "STRIKE's",
) -> dict[str, bytes]:
    """Return the figure as `pdf` and `png`, with a panel for each picture, for print at its own width.

    columns: panels in a row. names: the titles of the panels, by default the rounds. sender: the name of the attacker.
    The kinds of points differ in shape and in colour. The axes have no scale, since an embedding has none. The same
    pictures give the same bytes.
    """
    check(len(pictures) > 0, "a figure needs at least one picture")
    check_number("columns", columns, at_least=1, whole=True)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width = COLUMN if columns == 1 else PAGE
    with rc_context({"font.size": FONT, "pdf.fonttype": 42}):
        figure = Figure(figsize=(width, rows * width / columns + 0.6), layout="constrained")
        figure.suptitle(title, fontsize=FONT + 1, parse_math=False, wrap=True)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        titles = names or [f"round {picture.round}" for picture in pictures]
        drawn = [draw_picture(*panel, sender) for panel in zip(axes, pictures, titles, strict=False)]
        for axis in axes[len(pictures) :]:
            axis.set_visible(False)
        ncols = 2 if columns < 3 else 4
        kinds = max(drawn, key=len)
        figure.legend(handles=kinds, loc="outside lower center", ncols=ncols, frameon=False, handletextpad=0.2)
        return {"pdf": save(figure, "pdf", {"CreationDate": None}), "png": save(figure, "png", {"Software": None})}


def draw_picture(axes: Any, picture: Picture, title: str, sender: str) -> list[Any]:
    """Draw the points of an embedding; return the handles for the legend."""
    honest, mask = np.array(picture.honest), np.array(picture.skewed)
    rows = [
        (honest[mask], "skewed honest updates", {"s": 20, "c": BLUE, "edgecolors": "white", "linewidths": 0.5}),
        (honest[~mask], "other honest updates", {"s": 16, "c": "none", "edgecolors": GREY, "linewidths": 0.8}),
        (picture.mean, "mean of all honest updates", {"s": 110, "c": GREEN, "marker": "*", "edgecolors": "black"}),
    ]
    if picture.byzantine:
        rows += [(picture.byzantine, f"{sender} updates", {"s": 40, "c": PINK, "marker": "x", "linewidths": 1.6})]
    if picture.aggregate:
        style = {"s": 45, "c": "none", "marker": "D", "edgecolors": ORANGE, "linewidths": 1.4}
        rows += [(picture.aggregate, "aggregate of the rule", style)]
    axes.set_title(title, fontsize=FONT, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.08)
    kinds = [(np.reshape(points, (-1, 2)), label, style) for points, label, style in rows]
    return [axes.scatter(*points.T, label=label, **style) for points, label, style in kinds]


def save(figure: Figure, kind: str, metadata: dict[str, None], dpi: float = 300) -> bytes:
    """Return a figure as a file. metadata: entries that change from one call to the next, with None."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name may have any letter
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()
