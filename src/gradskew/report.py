"""What records say: the table of accuracies, its verdict, CSV and Markdown. Reads records only."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, pstdev

from .records import LAST, Record

COLUMNS = ("dataset", "attack", "aggregator", "seed", "accuracy", "best_accuracy", "params_sha256")
EXTRA = ("byzantine_share", "distance", "rejected", "clamped_rounds", "skipped_rounds", "digest")
LEAST_SCALE = 10.0  # points of accuracy that the colours span at least


@dataclass(frozen=True)
class Cell:
    """One attack against one rule, over seeds. Standard deviations divide by the count."""

    records: Sequence[Record]

    @property
    def mean(self) -> float:
        return fmean(record.accuracy for record in self.records)

    @property
    def std(self) -> float:
        return pstdev(record.accuracy for record in self.records)

    @property
    def share(self) -> float | None:
        """The Byzantine rows' mean share of the aggregate's weight, in percent; None for rules without weights."""
        shares = [share for record in self.records if (share := record.average("byzantine_share")) is not None]
        return 100 * fmean(shares) if shares else None

    @property
    def text(self) -> str:
        return f"{self.mean:.1f}" if len(self.records) == 1 else f"{self.mean:.1f} ±{self.std:.1f}"


class Table:
    """Attacks down, rules across; both in the order in which the records name them."""

    def __init__(self, records: Iterable[Record]):
        self.records = list(records)
        self.attacks = list(dict.fromkeys(record.spec["attack_name"] for record in self.records))
        self.rules = list(dict.fromkeys(record.spec["aggregator_name"] for record in self.records))
        cells: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            cells.setdefault((record.spec["attack_name"], record.spec["aggregator_name"]), []).append(record)
        self.cells = {key: Cell(records) for key, records in cells.items()}

    @cached_property
    def reference(self) -> float:
        """The accuracy that damage is measured from: the unattacked mean, or else the best cell there is."""
        cell = self.cells.get(("none", "mean"))
        return cell.mean if cell else max(cell.mean for cell in self.cells.values())

    def damage(self, cell: Cell) -> float:
        """Points of accuracy lost against the reference."""
        return self.reference - cell.mean

    @cached_property
    def scale(self) -> float:
        """Points of damage at which a colour is full: the greatest damage in the table, at least 10."""
        return max(LEAST_SCALE, *(self.damage(cell) for cell in self.cells.values()))

    def column(self, rule: str) -> list[Cell]:
        """The cells of a rule, from the first attack to the last."""
        return [self.cells[attack, rule] for attack in self.attacks if (attack, rule) in self.cells]

    @property
    def weighted_rules(self) -> list[str]:
        """The rules that weigh rows, so that the Byzantine rows have a share."""
        return [rule for rule in self.rules if any(cell.share is not None for cell in self.column(rule))]

    @property
    def defences(self) -> list[str]:
        """The rules that a verdict may judge: not the mean, nor a clipping rule that never clipped a row."""
        records = {rule: [record for cell in self.column(rule) for record in cell.records] for rule in self.rules}
        return [rule for rule in self.rules if rule != "mean" and not all(map(never_clipped, records[rule]))]

    def worst_attacks(self) -> dict[str, str]:
        """For each rule the attack that leaves it the lowest accuracy."""
        attacks = [attack for attack in self.attacks if attack != "none"]
        return {
            rule: min(present, key=lambda attack: self.cells[attack, rule].mean)
            for rule in self.rules
            if (present := [attack for attack in attacks if (attack, rule) in self.cells])
        }

    @property
    def federation(self) -> str:
        """One line on what was simulated."""
        spec = self.records[0].spec
        sampled = "" if spec["sampled"] == spec["clients"] else f", {spec['sampled']} a round"
        seeds = len({record.spec["seed"] for record in self.records})
        return (
            f"{spec['dataset']}, {spec['clients']} clients{sampled}, {spec['byzantine']} Byzantine, "
            f"{spec['partition']}, {spec['rounds']} rounds, {seeds} seed{'s' if seeds > 1 else ''}"
        )

    @property
    def expected_share(self) -> float:
        """The Byzantine clients' part of all clients, in percent."""
        spec = self.records[0].spec
        return float(100 * spec["byzantine"] / spec["clients"])


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
            + ["" if value is None else f"{value:.6g}" for value in (share, distance)]
            + [sum(metrics["rejected"] for metrics in record.rounds)]
            + [sum(metrics["clamped"] for metrics in record.rounds)]
            + [sum(not metrics["stepped"] for metrics in record.rounds), record.digest]
        )
    return text.getvalue()


def markdown(table: Table) -> str:
    """The accuracy table, the lowest of each rule in bold."""
    worst = table.worst_attacks()
    lines = ["| attack | " + " | ".join(map(_plain, table.rules)) + " |", "|---|" + "---|" * len(table.rules)]
    for attack in table.attacks:
        texts = []
        for rule in table.rules:
            cell = table.cells.get((attack, rule))
            text = cell.text if cell else ""
            texts.append(f"**{text}**" if cell and worst.get(rule) == attack else text)
        lines.append(f"| {_plain(attack)} | " + " | ".join(texts) + " |")
    caption = f"Test accuracy in %, mean of the last rounds (at most {LAST}); bold: the lowest under attack."
    return "\n".join([caption, _plain(table.federation) + ".", "", *lines, "", *map(_plain, verdict(table)), ""])


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)


def verdict(table: Table) -> list[str]:
    """What the table says of attacks and rules, in a few sentences."""
    defences, worst = table.defences, table.worst_attacks()
    floors = {rule: table.cells[worst[rule], rule] for rule in defences if rule in worst}
    if not floors:
        return []
    counts = Counter(worst[rule] for rule in floors)
    lines = []
    for attack, count in counts.most_common():
        rules = ", ".join(rule for rule in floors if worst[rule] == attack)
        lines.append(f"{attack} is the worst attack on {count} of {len(floors)} robust rules: {rules}.")
    damage = {
        attack: fmean(table.damage(table.cells[attack, rule]) for rule in floors if (attack, rule) in table.cells)
        for attack in table.attacks
        if any((attack, rule) in table.cells for rule in floors)
    }
    ranked = ", ".join(
        f"{attack} {damage[attack]:.1f}" for attack in sorted(damage, key=lambda attack: -damage[attack])
    )
    lines.append(f"Points of accuracy lost, averaged over these rules: {ranked}.")
    strong, weak = max(floors, key=lambda rule: floors[rule].mean), min(floors, key=lambda rule: floors[rule].mean)
    lines.append(
        f"Best in its worst case: {strong}, {floors[strong].text} % under {worst[strong]}. "
        f"Worst: {weak}, {floors[weak].text} % under {worst[weak]}. Reference: {table.reference:.1f} %."
    )
    return lines


def never_clipped(record: Record) -> bool:
    """Whether a clipping rule left every row as it was, in every round."""
    return all(metrics["rule"].get("clipped") == 0 for metrics in record.rounds)


def remarks(records: Iterable[Record]) -> list[str]:
    """What a reader should know about the runs, each said once."""
    said: dict[str, None] = {}
    for record in records:
        spec, rounds = record.spec, record.rounds
        name = f"{spec['attack_name']} against {spec['aggregator_name']}"
        if rejected := sum(metrics["rejected"] for metrics in rounds):
            said[f"{name}, seed {spec['seed']}: {rejected} rows were not finite and were rejected."] = None
        if skipped := sum(not metrics["stepped"] for metrics in rounds):
            said[f"{name}, seed {spec['seed']}: the model stayed as it was in {skipped} rounds."] = None
        if any(metrics["clamped"] for metrics in rounds):
            said[f"{spec['aggregator_name']} was told a smaller f than there were Byzantine rows, its bound."] = None
        if never_clipped(record):
            said[
                f"{spec['aggregator_name']} clipped no row in any round: its tau is too large here, it was the mean."
            ] = None
        if low := [z for metrics in rounds if (z := metrics["attack"].get("z", 1)) <= 0]:
            said[f"{spec['attack_name']}: z_max = {low[0]:.3g} is not above 0, so it perturbs nothing outwards."] = None
    return list(said)
