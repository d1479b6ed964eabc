"""Figures from a table of records."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from .report import Table

# From blue over pale yellow to red: told apart by the colour-blind, and light enough for black numbers on it.
SHADES = [colormaps["RdYlBu_r"](0.16 + 0.68 * step / 16) for step in range(17)]


def shade(level: float) -> str:
    """The colour of a level of harm, 0 to 1, as #rrggbb."""
    return to_hex(SHADES[round(16 * min(1.0, max(0.0, level)))])


def heatmap(table: Table) -> bytes:
    """A PNG of the accuracy of every cell and, where rules have weights, of the Byzantine rows' share of them."""
    rules = table.weighted_rules
    panels = 2 if rules else 1
    width, height = 2.4 + 0.95 * len(table.rules), 1.3 + 0.4 * len(table.attacks)
    figure = Figure(figsize=(max(8.0, width), panels * height + 0.3), layout="constrained")
    figure.suptitle(table.federation, fontsize=9, parse_math=False)
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]

    harm = LinearSegmentedColormap.from_list("harm", SHADES)
    low, high = table.reference - table.scale, table.reference
    values, texts = [], []
    for attack in table.attacks:
        cells = [table.cells.get((attack, rule)) for rule in table.rules]
        values.append([math.nan if cell is None else cell.mean for cell in cells])
        texts.append(["" if cell is None else cell.text for cell in cells])
    title = "Test accuracy in %: the redder, the more damage"
    _paint(axes[0], table.attacks, table.rules, values, texts, (low, high), harm.reversed(), title)
    if rules:
        values, texts = [], []
        for attack in table.attacks:
            shares = [cell.share if (cell := table.cells.get((attack, rule))) else None for rule in rules]
            values.append([math.nan if share is None else share for share in shares])
            texts.append(["" if share is None else f"{share:.0f}" for share in shares])
        title = f"Weight of the Byzantine rows in %: {table.expected_share:.0f} is their number, 0 is caught"
        _paint(axes[1], table.attacks, rules, values, texts, (0, 2 * table.expected_share or 1), harm, title)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150, format="png")
    return buffer.getvalue()


def _paint(
    axes: Any,
    attacks: Sequence[str],
    rules: Sequence[str],
    values: Sequence[Sequence[float]],
    texts: Sequence[Sequence[str]],
    limits: tuple[float, float],
    colours: Colormap,
    title: str,
) -> None:
    image = axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    turned = {"rotation": 20, "ha": "right"} if sum(map(len, rules)) > 90 else {}
    axes.set_xticks(range(len(rules)), rules, parse_math=False, **turned)
    axes.set_yticks(range(len(attacks)), attacks, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            axes.text(j, i, text, ha="center", va="center", fontsize=9)
    axes.figure.colorbar(image, ax=axes)
