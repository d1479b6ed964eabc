"""Lay tables out for a terminal, so that no word and no number is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

BESIDE = 3  # characters that a column needs beside its text


def fitted(
    head: Sequence[str], lines: Sequence[Sequence[Text]], width: int, *, names: int = 1
) -> Iterator[Grid | Text]:
    """Yield a table as one grid, or as several below each other where its columns need more than the width.

    names: the number of first columns that name a line; each grid begins with them. Heads are broken between words
    where that is needed. Where some column does not fit beside the names, each line becomes a paragraph.
    """
    texts = list(zip(*([text.plain for text in line] for line in lines), strict=True)) or [()] * len(head)
    room, widths = width - 1, _widths([[name] for name in head], texts)
    if sum(widths) > room:
        widths = _widths([name.split() for name in head], texts)
    room -= sum(widths[:names])
    if max(widths[names:], default=0) > room:
        yield from _paragraphs(head, lines, names)
        return
    parts: list[list[int]] = [[]]
    for column in range(names, len(widths)):
        if sum(widths[other] for other in parts[-1]) + widths[column] > room:
            parts.append([])
        parts[-1].append(column)
    for part in parts:
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1))
        for column in (*range(names), *part):
            grid.add_column(
                Text(head[column]), justify="left" if column < names else "right", width=widths[column] - BESIDE
            )
        for line in lines:
            grid.add_row(*line[:names], *(line[column] for column in part))
        yield grid


def _widths(heads: Sequence[Sequence[str]], texts: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column, that of its longest piece of a head or line of a text."""
    columns = [
        [*pieces, *(line for text in column for line in text.splitlines())]
        for pieces, column in zip(heads, texts, strict=True)
    ]
    return [max(map(cell_len, column), default=0) + BESIDE for column in columns]


def _paragraphs(head: Sequence[str], lines: Sequence[Sequence[Text]], names: int) -> Iterator[Text]:
    """Yield for each line its names, and after them each head with its text."""
    for line in lines:
        values = [Text(f"{name} ") + text for name, text in zip(head[names:], line[names:], strict=True) if text]
        yield Text("\n") + Text(", ").join(line[:names])
        yield Text("; ").join(values)
