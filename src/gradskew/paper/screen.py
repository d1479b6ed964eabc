"""Print the tables beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from ..report.grids import fitted
from ..report.terminal import console
from .sheets import Sheet, conclusions

WIDE = 140  # columns of a terminal from which our accuracy and the paper's share a line


def show_sheets(sheets: Sequence[Sheet], caption: str, sentences: Sequence[str]) -> None:
    """Print the caption, the sheets with the lowest of each column underlined, their conclusions, and the sentences."""
    screen = console()
    screen.print(f"\n{caption}")
    for sheet in sheets:
        if sheet.title:
            screen.print(f"\n{sheet.title}", style="bold")
        separator = "\n/ " if screen.width < WIDE else " / "
        lines = []
        for row, line in sheet.lines():
            texts = [(text.replace(" / ", separator), lowest) for text, lowest in line]
            lines.append([Text(row), *(Text(text, "bold underline" if lowest else "") for text, lowest in texts)])
        for part in fitted([sheet.rows_are, *sheet.columns], lines, screen.width):
            screen.print(part)
        for sentence in conclusions(sheet):
            screen.print(sentence)
    for sentence in sentences:
        screen.print(sentence)
