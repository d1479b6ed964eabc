"""Tables of records as CSV and Markdown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from .records import Record
from .report import Table, with_options
from .spec import LAST
from .verdicts import verdict

COLUMNS = ("dataset", "attack", "aggregator", "seed", "accuracy", "best_accuracy", "params_sha256")
EXTRA = ("partition", "byzantine_share", "distance", "rejected", "clamped_rounds", "skipped_rounds", "digest")


def results_csv(records: Iterable[Record]) -> str:
    """One row per run."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS + EXTRA)
    for record in records:
        spec, share, distance = record.spec, record.average("byzantine_share"), record.average("distance")
        rows.writerow(
            [spec["dataset"], spec["attack_name"], spec["aggregator_name"], spec["seed"]]
            + [f"{record.accuracy:.4f}", f"{record.best_accuracy:.4f}", record.params_sha256]
            + [with_options(spec["partition"])]
            + ["" if value is None else f"{value:.6g}" for value in (share, distance)]
            + [sum(metrics["rejected"] for metrics in record.rounds)]
            + [sum(metrics["clamped"] for metrics in record.rounds)]
            + [sum(not metrics["stepped"] for metrics in record.rounds), record.digest]
        )
    return text.getvalue()


def markdown(table: Table) -> str:
    """The accuracy table, the lowest of each rule in bold, and the verdict."""
    rows = []
    for attack in table.attacks:
        found = [(rule, table.cells.get((attack, rule))) for rule in table.rules]
        line = [(cell.text, table.worst_attacks.get(rule) == attack) if cell else ("", False) for rule, cell in found]
        rows.append((attack, line))
    lines = grid(["attack", *table.rules], rows)
    caption = (
        f"Test accuracy in %, mean of the last rounds (at most {LAST}), ± standard deviation over seeds (divided by"
    )
    caption += " their count); bold: the worst attack on the rule."
    return "\n".join([caption, plain(table.federation) + ".", "", *lines, "", *map(plain, verdict(table)), ""])


def grid(head: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[str, bool]]]]) -> list[str]:
    """The lines of a Markdown table: each row has a name, and cells that are a text and whether it is bold."""
    lines = ["| " + " | ".join(map(plain, head)) + " |", "|" + "---|" * len(head)]
    for name, line in rows:
        cells = [f"**{text}**" if bold else text for text, bold in line]
        lines.append("| " + " | ".join([plain(name), *cells]) + " |")
    return lines


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)
