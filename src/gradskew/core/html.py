"""Small tables in HTML, for the outputs of a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape


def html_table(
    caption: str,
    rows: Sequence[Sequence[str]],
    *,
    head: Sequence[str] = (),
    colours: Mapping[tuple[int, int], str] | None = None,
    bold: frozenset[tuple[int, int]] = frozenset(),
) -> str:
    """Return a table of texts in HTML. The first text of a row is its heading.

    colours: the background by (row, column), both counted from 0, behind dark text. bold: the cells in bold.
    """
    lines = [f'<table><caption style="text-align: left">{escape(caption)}</caption>']
    if head:
        lines.append(f"<thead><tr>{''.join(f'<th>{escape(text)}</th>' for text in head)}</tr></thead>")
    lines.append("<tbody>")
    for i, (name, *texts) in enumerate(rows):
        cells = [f'<th style="text-align: left">{escape(name)}</th>']
        for j, text in enumerate(texts, 1):
            colour = (colours or {}).get((i, j))
            style = f' style="background: {escape(colour)}; color: #101418"' if colour else ""
            content = f"<b>{escape(text)}</b>" if (i, j) in bold else escape(text)
            cells.append(f"<td{style}>{content}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table>"])
