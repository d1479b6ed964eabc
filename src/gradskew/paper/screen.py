"""Print the tables beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table as Grid
from rich.text import Text

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
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1))
        grid.add_column(Text(sheet.rows_are), no_wrap=True)
        for column in sheet.columns:
            grid.add_column(Text(column), justify="right", overflow="fold")
        separator = "\n/ " if screen.width < WIDE else " / "
        for row, line in sheet.lines():
            texts = [(text.replace(" / ", separator), lowest) for text, lowest in line]
            grid.add_row(Text(row), *(Text(text, "bold underline" if lowest else "") for text, lowest in texts))
        screen.print(grid)
        for sentence in conclusions(sheet):
            screen.print(sentence)
    for sentence in sentences:
        screen.print(sentence)
