"""Export tables of records as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from ..core.csv_text import disarm
from ..core.grammar import with_options
from ..federation.curve import RISING, describe_end
from ..runs.record import Record
from ..runs.versions import federation_key
from .described import settings
from .lens import Lens
from .table import Table
from .titles import title
from .tries import failed_share

COLUMNS = ("dataset", "attack", "aggregator", "seed", "accuracy", "best_accuracy", "params_sha256")
EXTRA = (
    *("partition", "byzantine_share", "distance", "rejected", "clamped_rounds", "skipped_rounds"),
    *("still_rises", "test_size", "digest"),
)
LENS = ("kappa", "kappa_max", "selected", "shut_out", "above", "skewness", "pearson", "shift", "density")
FEDERATION = ("clients", "sampled", "byzantine", "rounds", "model", "federation")
LATER = ("progress_min", "failed_tries", "largest_class")
LAST = ("settings",)


def results_csv(records: Iterable[Record]) -> str:
    """Return a CSV with one row per run; the lens's columns are means over rounds.

    `kappa_max` is the largest kappa in a round, `progress_min` the least progress, `failed_tries` the share
    of the attack's tries on which the rule failed, `largest_class` that of the largest class in the test inputs in %,
    `settings` what the other columns do not say of the federation. `federation` is the digest of all settings that the
    runs of one table share: see `federation_digest`.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS + EXTRA + LENS + FEDERATION + LATER + LAST)
    for record in records:
        lens, failed, largest = Lens(record), failed_share([record]), record.largest_class
        spec, share, distance = record.spec, record.average("byzantine_share"), record.average("distance")
        rows.writerow(
            [*map(disarm, (spec["dataset"], spec["attack_name"], spec["aggregator_name"])), spec["seed"]]
            + [f"{record.accuracy:.4f}", f"{record.best_accuracy:.4f}", record.params_sha256]
            + [disarm(with_options(spec["partition"]))]
            + ["" if value is None else f"{value:.6g}" for value in (share, distance)]
            + [sum(record.columns["rejected"]), sum(record.columns["clamped"])]
            + [record.columns["stepped"].count(False), int(record.rises)]
            + ["" if record.test_size is None else record.test_size, record.digest]
            + [_lens_value(lens, name) for name in LENS]
            + [spec[name] for name in FEDERATION[:4]]
            + [disarm(with_options(spec["model"])), federation_digest(spec)]
            + [_lens_value(lens, LATER[0]), "" if failed is None else f"{failed:.6g}"]
            + ["" if largest is None else f"{largest:.6g}"]
            + [disarm(settings(spec))]
        )
    return text.getvalue()


def join_csv(tables: Sequence[str]) -> str:
    """Return the CSV of several tables as one, with one head."""
    return "".join([*tables[:1], *(table.partition("\n")[2] for table in tables[1:])])


def federation_digest(spec: dict[str, Any]) -> str:
    """Return the eight hexadecimal digits that name a federation in file names, labels and CSV."""
    return hashlib.sha256(federation_key(spec).encode()).hexdigest()[:8]


def _lens_value(lens: Lens, name: str) -> str:
    """Return the mean of a series over rounds; the extreme for `kappa_max`, `progress_min`; empty without the lens."""
    series, _, extreme = name.partition("_")
    of_rounds = {"max": max, "min": min}.get(extreme)
    values = [value for value in lens.series(series if of_rounds else name) if value is not None]
    return f"{(of_rounds or fmean)(values):.6g}" if values else ""


def markdown(table: Table) -> str:
    """Return the accuracy table in Markdown, with each rule's lowest accuracy in bold, and the verdict."""
    rows = []
    for attack in table.attacks:
        cells = [(rule, table.cells.get((attack, rule))) for rule in table.rules]
        line = [(cell.text, table.worst_attacks.get(rule) == attack) if cell else ("", False) for rule, cell in cells]
        rows.append((attack, line))
    lines = grid(["attack", *table.rules], rows)
    return "\n".join(
        [
            f"{_caption(table)}.",
            escape_markdown(table.federation) + ".",
            "",
            *lines,
            "",
            *map(escape_markdown, table.statements),
            "",
        ]
    )


def _caption(table: Table) -> str:
    """Return what the accuracies of a table are, and its marks."""
    accuracy = f"Test {table.measure} in %, {describe_end(table.records[0].spec['rounds'])}{table.legend}"
    return f"{accuracy}; bold: the worst attack on the rule, which leaves it the lowest accuracy"


def latex(table: Table) -> str:
    r"""Return the accuracy table in LaTeX for the package booktabs, with each rule's lowest accuracy in bold.

    Names are those of papers. The label, such as `tab:gradskew-1a2b3c4d`, depends on the federation's settings alone.
    """
    lines = [r"\begin{table}", r"\centering", r"\begin{tabular}{l" + "r" * len(table.rules) + "}", r"\toprule"]
    lines += [" & ".join(["attack", *(escape_latex(title(rule)) for rule in table.rules)]) + r" \\", r"\midrule"]
    for attack in table.attacks:
        row = [escape_latex(title(attack))]
        for rule in table.rules:
            cell = table.cells.get((attack, rule))
            text = "" if cell is None else escape_latex(cell.text).replace(r"$\pm$", r"$\pm$\,")
            row.append(rf"\textbf{{{text}}}" if table.worst_attacks.get(rule) == attack else text)
        lines.append(" & ".join(row) + r" \\")
    caption = f"{_caption(table)}. {table.federation}."
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{escape_latex(caption)}}}"]
    label = f"tab:gradskew-{federation_digest(table.records[0].spec)}"
    return "\n".join([*lines, rf"\label{{{label}}}", r"\end{table}", ""])


def escape_latex(text: str) -> str:
    r"""Return text escaped for LaTeX.

    >>> print(escape_latex("50%_{x}"))
    50\%\_\{x\}
    """
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    words[RISING] = r"$\uparrow$"
    words |= {char: f"\\{char}" for char in "&%$#_{}"}
    words |= {char: f"{{{char}}}" for char in "[]*"}  # at the start of a row they would be arguments of the line break
    return "".join(words.get(char, char) for char in " ".join(text.split()))


def grid(head: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[str, bool]]]]) -> list[str]:
    """Return the lines of a Markdown table. rows: a name and cells (text, whether bold)."""
    lines = ["| " + " | ".join(map(escape_markdown, head)) + " |", "|" + "---|" * len(head)]
    for name, line in rows:
        cells = [f"**{text}**" if bold else text for text, bold in line]
        lines.append("| " + " | ".join([escape_markdown(name), *cells]) + " |")
    return lines


def escape_markdown(text: str) -> str:
    """Return text escaped for Markdown."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)
