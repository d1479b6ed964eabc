"""Figures from a table of records."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from .report import Panel, Table

# From blue over pale yellow to red: told apart by the colour-blind, and light enough for black numbers on it.
DPI, MOST = 150, 10_000  # dots per inch; pixels a side
SHADES = [colormaps["RdYlBu_r"](0.16 + 0.68 * step / 16) for step in range(17)]


def shade(harm: float) -> str:
    """The colour of a level of harm, 0 to 1, as #rrggbb."""
    return to_hex(SHADES[round(16 * min(1.0, max(0.0, harm)))])


def heatmap(table: Table) -> bytes:
    """A PNG of the table's panels: accuracy, the Byzantine rows' share of the weights, how far they push."""
    panels = table.panels()
    width, height = 2.0 + 0.95 * len(table.rules), 1.0 + 0.36 * len(table.attacks)
    figure = Figure(figsize=(max(8.0, width), len(panels) * height + 0.4), layout="constrained")
    figure.suptitle(table.federation, fontsize=8, parse_math=False, wrap=True)
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        _paint(axis, panel, table.attacks, table.rules)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name may hold any letter
        figure.savefig(buffer, dpi=min(DPI, *(MOST / side for side in figure.get_size_inches())), format="png")
    return buffer.getvalue()


def _paint(axes: Any, panel: Panel, attacks: Sequence[str], rules: Sequence[str]) -> None:
    """Draw a panel; a rule or cell without an entry stays white."""
    harm = [[panel.entries.get((attack, rule), ("", math.nan))[1] for rule in rules] for attack in attacks]
    colours = LinearSegmentedColormap.from_list("harm", SHADES)
    axes.imshow(harm, cmap=colours, vmin=0, vmax=1, aspect="auto")
    turned = {"rotation": 20, "ha": "right"} if sum(map(len, rules)) > 90 else {}
    axes.set_xticks(range(len(rules)), rules, parse_math=False, **turned)
    axes.set_yticks(range(len(attacks)), attacks, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(panel.title, fontsize=10, loc="left")
    for i, attack in enumerate(attacks):
        for j, rule in enumerate(rules):
            text = panel.entries.get((attack, rule), ("–", 0))[0]
            axes.text(j, i, text, ha="center", va="center", fontsize=9)
