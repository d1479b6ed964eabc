"""Draw sheets as charts: accuracy by rule, strength or partition, one series per attack or rule."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from .sheets import STRIKE, Sheet

# Okabe and Ito's colours, distinct to the colour-blind; each series also has its own marker.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D31", "#555555", "#117733")
MARKERS = "osD^vPX*"
STRIKE_COLOUR = "#D55E00"


def chart(sheets: Sequence[Sheet], title: str, *, rows_along: bool, joined: bool) -> dict[str, bytes]:
    """Return a PDF and a PNG with one panel per sheet.

    rows_along: whether the x axis has the rows and the series are the columns; else the other way round. joined:
    whether lines join the points of a series, as values of one number.
    """
    across = min(4, len(sheets))
    down = -(-len(sheets) // across)
    with rc_context({"pdf.fonttype": 42, "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(7.0, 3.6) if len(sheets) == 1 else (7.0, 0.5 + 1.9 * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False, sharey=True).flatten()
        for axis, sheet in zip(axes, sheets, strict=False):
            _panel(axis, sheet, rows_along, joined)
        for axis in axes[len(sheets) :]:
            axis.set_axis_off()
        for axis in axes[::across]:
            axis.set_ylabel("test accuracy in %")
        figure.suptitle(title, fontsize=9, parse_math=False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 8), frameon=False, fontsize=7)
        return {kind: _save(figure, kind) for kind in ("pdf", "png")}


def _panel(axis: Any, sheet: Sheet, rows_along: bool, joined: bool) -> None:
    """Draw the series of a sheet, with STRIKE emphasized."""
    along, series = (sheet.rows, sheet.columns) if rows_along else (sheet.columns, sheet.rows)
    for number, name in enumerate(series):
        keys = [(place, name) if rows_along else (name, place) for place in along]
        points = [(x, sheet.cells[key]) for x, key in enumerate(keys) if key in sheet.cells]
        is_strike = name == STRIKE
        shift = (0.02 if joined else 0.09) * (number - (len(series) - 1) / 2)  # equal points stay visible
        axis.errorbar(
            [x + shift for x, _ in points],
            [cell.mean for _, cell in points],
            [cell.std for _, cell in points],
            label=name,
            color=STRIKE_COLOUR if is_strike else COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=5 if is_strike else 3.5,
            linestyle="-" if joined else "none",
            linewidth=1.8 if is_strike else 0.9,
            elinewidth=0.8,
            zorder=3 if is_strike else 2,
        )
    axis.set_xticks(range(len(along)), along, parse_math=False)
    axis.set_xlabel(sheet.rows_are if rows_along else sheet.columns_are)
    if not joined:
        for x in range(len(along) - 1):
            axis.axvline(x + 0.5, color="#dddddd", linewidth=0.6, zorder=1)
    axis.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    if sheet.title:
        axis.set_title(sheet.title, fontsize=8, parse_math=False)


def _save(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    dates = {"CreationDate": None, "ModDate": None} if kind == "pdf" else {}
    figure.savefig(buffer, format=kind, dpi=200, metadata=dates)
    return buffer.getvalue()
