"""Draw accuracies over the values of an option as PDF and PNG, for print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from .figures import COLUMN, FONT, PAGE, save
from .settings import Axis, value_text
from .sweep import WORST, Curve, Lines, Sweep
from .titles import title

COLOURS = ("#0b62b0", "#c25100", "#117733", "#8e2a8b", "#8a6d00", "#00838f", "#c2185b", "#5b6472")
MARKERS, DASHES = "osD^vP", ("-", "--", ":")
SPREAD = 0.3  # the room of the points of one value, as a part of the distance to the next
MOST = 12  # figures of an option; the page has the others


def sweep_figures(sweep: Sweep) -> dict[str, bytes]:
    """Return the figures by file name: sweep-OPTION.pdf and .png; with further options one for each of their values."""
    files: dict[str, bytes] = {}
    for stem, curve in _named(sweep):
        files |= {f"{stem}.{kind}": content for kind, content in sweep_figure(sweep, curve).items()}
    return files


def _named(sweep: Sweep) -> Iterator[tuple[str, Curve]]:
    """Yield the curves that are drawn, with the names of their files."""
    for axis in sweep.axes:
        for curve in [curve for curve in sweep.curves if curve.axis is axis][:MOST]:
            fixed = "".join(f"-{name}-{value_text(value)}" for name, value in curve.fixed)
            yield re.sub(r"[^\w.-]+", "_", f"sweep-{axis.name}{fixed}")[:100], curve


def sweep_figure(sweep: Sweep, curve: Curve) -> dict[str, bytes]:
    """Return a figure with a panel for the worst found and for each attack, a line for each rule, 95 % intervals.

    The same tables give the same bytes.
    """
    panels = [(panel, lines) for panel in sweep.panels if (lines := sweep.lines(panel, curve.tables))]
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    names = list(dict.fromkeys(rule for _, lines in panels for rule, _ in lines))
    with rc_context({"font.size": FONT, "pdf.fonttype": 42}):
        size = (COLUMN if columns == 1 else PAGE, 1.75 * rows + 0.3 + 0.16 * -(-len(names) // 4))
        figure = Figure(figsize=size, layout="constrained")
        if curve.fixed:
            figure.suptitle(curve.where, fontsize=FONT, parse_math=False, wrap=True)
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        handles: dict[str, Any] = {}
        for axes, (panel, lines) in zip(grid.ravel(), panels, strict=False):
            handles |= _draw(axes, curve.axis, lines, names)
            axes.set_title(panel if panel == WORST else title(panel), fontsize=FONT, parse_math=False)
        for axes in grid.ravel()[len(panels) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel(f"test {curve.measure} in %")
        for axes in grid.ravel()[max(0, len(panels) - columns) : len(panels)]:  # the lowest of each column
            axes.set_xlabel(curve.axis.label, parse_math=False)
        figure.legend(
            [handles[name] for name in names],
            list(map(title, names)),
            loc="outside lower center",
            ncols=min(4 if columns > 1 else 2, len(names)),
            frameon=False,
        )
        return {"pdf": save(figure, "pdf", {"CreationDate": None}), "png": save(figure, "png", {"Software": None})}


def _draw(axes: Any, axis: Axis, lines: Lines, names: list[str]) -> dict[str, Any]:
    """Draw a panel; return the handle of each rule for the legend. names: of all rules, which decide the colours."""
    handles = {}
    for rule, cells in lines:
        number = names.index(rule)
        shift = SPREAD * ((number + 0.5) / len(names) - 0.5)
        drawn = [(place + shift, cell) for place, cell in enumerate(cells) if cell is not None]
        means = [cell.mean for _, cell in drawn]
        widths = [cell.half_width or 0.0 for _, cell in drawn]
        below = [min(width, mean) for mean, width in zip(means, widths, strict=True)]
        above = [min(width, 100 - mean) for mean, width in zip(means, widths, strict=True)]
        handles[rule] = axes.errorbar(
            [x for x, _ in drawn],
            means,
            yerr=[below, above],
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            linestyle=DASHES[number // len(COLOURS) % len(DASHES)],
            markersize=3,
            linewidth=1,
            elinewidth=0.6,
        )
    axes.set_xticks(range(len(axis.values)), list(map(value_text, axis.values)), parse_math=False)
    axes.set_xlim(-0.5, len(axis.values) - 0.5)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return handles
