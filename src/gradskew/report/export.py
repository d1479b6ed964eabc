"""Tables of records as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from statistics import fmean

from ..federation.schema import LAST
from ..runs.record import Record
from .lens import Lens
from .table import Table, with_options
from .verdict import verdict

COLUMNS = ("dataset", "attack", "aggregator", "seed", "accuracy", "best_accuracy", "params_sha256")
EXTRA = ("partition", "byzantine_share", "distance", "rejected", "clamped_rounds", "skipped_rounds", "digest")
LENS = ("kappa", "kappa_max", "selected", "shut_out", "above", "skewness", "pearson", "shift", "density")


def results_csv(records: Iterable[Record]) -> str:
    """Return a CSV with one row per run; what the lens measured is a mean over rounds, of `kappa_max` the largest."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS + EXTRA + LENS)
    for record in records:
        lens = Lens(record)
        spec, share, distance = record.spec, record.average("byzantine_share"), record.average("distance")
        rows.writerow(
            [*map(inert, (spec["dataset"], spec["attack_name"], spec["aggregator_name"])), spec["seed"]]
            + [f"{record.accuracy:.4f}", f"{record.best_accuracy:.4f}", record.params_sha256]
            + [inert(with_options(spec["partition"]))]
            + ["" if value is None else f"{value:.6g}" for value in (share, distance)]
            + [sum(metrics["rejected"] for metrics in record.rounds)]
            + [sum(metrics["clamped"] for metrics in record.rounds)]
            + [sum(not metrics["stepped"] for metrics in record.rounds), record.digest]
            + [_lens_value(lens, name) for name in LENS]
        )
    return text.getvalue()


def inert(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: an apostrophe stands before what looks like one.

    >>> inert("=1+2"), inert("median")
    ("'=1+2", 'median')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _lens_value(lens: Lens, name: str) -> str:
    """Return the mean of a series over rounds, of kappa_max the last; empty without the lens."""
    values = [value for value in lens.series(name) if value is not None]
    if not values:
        return ""
    return f"{values[-1] if name == 'kappa_max' else fmean(values):.6g}"


def markdown(table: Table) -> str:
    """Return the accuracy table in Markdown, the lowest of each rule in bold, and the verdict."""
    rows = []
    for attack in table.attacks:
        cells = [(rule, table.cells.get((attack, rule))) for rule in table.rules]
        line = [(cell.text, table.worst_attacks.get(rule) == attack) if cell else ("", False) for rule, cell in cells]
        rows.append((attack, line))
    lines = grid(["attack", *table.rules], rows)
    caption = (
        f"Test accuracy in %, mean of the last rounds (at most {LAST}), ± standard deviation over seeds (divided by"
    )
    caption += " their count); bold: the worst attack on the rule."
    return "\n".join([caption, plain(table.federation) + ".", "", *lines, "", *map(plain, verdict(table)), ""])


def latex(table: Table, number: int = 1) -> str:
    r"""Return the accuracy table for LaTeX with the package booktabs, the lowest of each rule in bold, as papers do.

    number: in the label, `tab:gradskew-1`.
    """
    lines = [r"\begin{table}", r"\centering", r"\begin{tabular}{l" + "r" * len(table.rules) + "}", r"\toprule"]
    lines += [" & ".join(["attack", *map(escaped, table.rules)]) + r" \\", r"\midrule"]
    for attack in table.attacks:
        row = [escaped(attack)]
        for rule in table.rules:
            cell = table.cells.get((attack, rule))
            text = "" if cell is None else cell.text.replace("±", r"$\pm$\,")
            row.append(rf"\textbf{{{text}}}" if table.worst_attacks.get(rule) == attack else text)
        lines.append(" & ".join(row) + r" \\")
    caption = f"Test accuracy in %, mean of the last rounds (at most {LAST}); bold: the best attack on the rule. "
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{escaped(caption + table.federation)}.}}"]
    return "\n".join([*lines, rf"\label{{tab:gradskew-{number}}}", r"\end{table}", ""])


def escaped(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    >>> print(escaped("50%_{x}"))
    50\%\_\{x\}
    """
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    words |= {char: f"\\{char}" for char in "&%$#_{}"}
    words |= {char: f"{{{char}}}" for char in "[]*"}  # at the start of a row they would be arguments of the line break
    return "".join(words.get(char, char) for char in " ".join(text.split()))


def grid(head: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[str, bool]]]]) -> list[str]:
    """Return the lines of a Markdown table: each row has a name, and cells that are a text and whether it is bold."""
    lines = ["| " + " | ".join(map(plain, head)) + " |", "|" + "---|" * len(head)]
    for name, line in rows:
        cells = [f"**{text}**" if bold else text for text, bold in line]
        lines.append("| " + " | ".join([plain(name), *cells]) + " |")
    return lines


def plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)
