"""The pictures of skewed updates: Figures 1 and 2 of Liu et al., AAAI 2025."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from .core.errors import check, check_number
from .skew import Picture

BLUE, GREY, GREEN, PINK, ORANGE = "#1f5fa8", "#66758c", "#1a9641", "#d6006c", "#c25100"
FONT = 7.5  # points
COLUMN, PAGE = 3.4, 7.0  # inches: the printed width of one column of text, and of two


def lle_figure(
    pictures: Sequence[Picture],
    title: str,
    *,
    columns: int = 3,
    names: Sequence[str] | None = None,
    sender: str = "STRIKE's",
) -> dict[str, bytes]:
    """The figure as `pdf` and as `png`, to be printed at its own width: a panel for each picture, so many in a row.

    names: what stands above the panels, if not the rounds. sender: whose the Byzantine rows are.
    The kinds of points differ in shape as well as in colour. The axes have no scale, since an embedding has none. The
    same pictures give the same bytes.
    """
    check(len(pictures) > 0, "there is no picture to draw")
    check_number("columns", columns, at_least=1, whole=True)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width = COLUMN if columns == 1 else PAGE
    with rc_context({"font.size": FONT, "pdf.fonttype": 42}):
        figure = Figure(figsize=(width, rows * width / columns + 0.6), layout="constrained")
        figure.suptitle(title, fontsize=FONT + 1, parse_math=False, wrap=True)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        above = names or [f"round {picture.round}" for picture in pictures]
        drawn = [paint(*panel, sender) for panel in zip(axes, pictures, above, strict=False)]
        for axis in axes[len(pictures) :]:
            axis.set_visible(False)
        ncols = 2 if columns < 3 else 4
        kinds = max(drawn, key=len)
        figure.legend(handles=kinds, loc="outside lower center", ncols=ncols, frameon=False, handletextpad=0.2)
        return {"pdf": _save(figure, "pdf", {"CreationDate": None}), "png": _save(figure, "png", {"Software": None})}


def paint(axes: Any, picture: Picture, name: str, sender: str) -> list[Any]:
    """Draw a panel; returns what stands in the legend."""
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
        rows += [(picture.aggregate, "what the rule made of them", style)]
    axes.set_title(name, fontsize=FONT, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.08)
    kinds = [(np.reshape(points, (-1, 2)), label, style) for points, label, style in rows]
    return [axes.scatter(*points.T, label=label, **style) for points, label, style in kinds]


def _save(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=300, metadata=metadata)
    return buffer.getvalue()
