"""Tables and figures from records alone."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from .records import Record, write

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = ("dataset", "attack", "aggregator", "seed", "accuracy", "best_accuracy", "params_sha256")
EXTRA = ("byzantine_share", "distance", "rejected", "clamped_rounds", "skipped_rounds", "digest")
COLOURS = "RdYlBu_r"  # blue to red over yellow: told apart by the colour-blind, and in grey by the printed number
FULL_DAMAGE = 50.0  # points of accuracy at which the colour is full


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
    lines = ["| attack | " + " | ".join(table.rules) + " |", "|---|" + "---|" * len(table.rules)]
    for attack in table.attacks:
        texts = []
        for rule in table.rules:
            cell = table.cells.get((attack, rule))
            text = cell.text if cell else ""
            texts.append(f"**{text}**" if cell and worst.get(rule) == attack else text)
        lines.append(f"| {attack} | " + " | ".join(texts) + " |")
    caption = f"Test accuracy in %, mean of the last 5 rounds; bold: the lowest under attack. {table.federation}."
    return "\n".join([caption, "", *lines, "", *verdict(table), ""])


def verdict(table: Table) -> list[str]:
    """What the table says, in a few sentences."""
    worst = table.worst_attacks()
    if not worst:
        return []
    lines = []
    for attack in sorted(set(worst.values()), key=lambda attack: -list(worst.values()).count(attack)):
        rules = [rule for rule in worst if worst[rule] == attack]
        lines.append(f"{attack} does the most damage to {len(rules)} of {len(worst)} rules: {', '.join(rules)}.")
    attacked = {rule: [c for (a, r), c in table.cells.items() if r == rule and a != "none"] for rule in worst}
    by_worst = max(attacked, key=lambda rule: min(cell.mean for cell in attacked[rule]))
    by_mean = max(attacked, key=lambda rule: fmean(cell.mean for cell in attacked[rule]))
    floor, average = table.cells[worst[by_worst], by_worst], fmean(cell.mean for cell in attacked[by_mean])
    lines.append(
        f"{by_worst} stands best in its worst case ({floor.mean:.1f} % under {worst[by_worst]}), "
        f"{by_mean} on average ({average:.1f} %); the unattacked reference is {table.reference:.1f} %."
    )
    return lines


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
        if low := [z for metrics in rounds if (z := metrics["attack"].get("z", 1)) <= 0]:
            said[f"{spec['attack_name']}: z_max = {low[0]:.3g} is not above 0, so it perturbs nothing outwards."] = None
    return list(said)


def terminal(table: Table) -> list[RenderableType]:
    """The accuracy table coloured by damage, and the Byzantine rows' share of each rule's weight."""
    weighted = [
        rule for rule in table.rules if any(c.share is not None for (_, r), c in table.cells.items() if r == rule)
    ]
    worst = table.worst_attacks()

    def accuracy(attack: str, rule: str, cell: Cell) -> tuple[str, str]:
        mark = " bold underline" if worst.get(rule) == attack else ""
        return cell.text, _style(table.damage(cell) / FULL_DAMAGE) + mark

    def share(attack: str, rule: str, cell: Cell) -> tuple[str, str]:
        value = cell.share
        return ("", "") if value is None else (f"{value:.0f}", _style(value / (2 * table.expected_share or 1)))

    title = "Test accuracy in %: the redder, the more damage; underlined: the worst attack on the rule"
    tables: list[RenderableType] = [_grid(table, table.rules, title, accuracy)]
    if weighted:
        title = f"Weight of the Byzantine rows in %: {table.expected_share:.0f} is their number, 0 is caught"
        tables.append(_grid(table, weighted, title, share))
    return tables


def _grid(table: Table, rules: Sequence[str], title: str, entry: Callable[[str, str, Cell], tuple[str, str]]) -> Any:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    grid.add_column("attack")
    for rule in rules:
        grid.add_column(Text(rule), justify="right", overflow="fold")
    for attack in table.attacks:
        cells = [table.cells.get((attack, rule)) for rule in rules]
        entries = [entry(attack, rule, cell) if cell else ("", "") for rule, cell in zip(rules, cells, strict=True)]
        grid.add_row(Text(attack), *[Text(text, style) for text, style in entries])
    return grid


def _style(level: float) -> str:
    """Black on the colour of a level between 0 and 1."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return f"black on {to_hex(colormaps[COLOURS](0.15 + 0.7 * min(1.0, max(0.0, level))))}"


def heatmap(table: Table, path: Path) -> None:
    """Draw the accuracy of every cell and, where rules have weights, the Byzantine rows' share of them."""
    from matplotlib.figure import Figure

    rules, attacks = table.rules, table.attacks
    accuracy = [[table.cells.get((attack, rule)) for rule in rules] for attack in attacks]
    width, height = 2.2 + 0.95 * len(rules), 1.7 + 0.42 * len(attacks)
    figure = Figure(figsize=(max(8.0, width), 2 * height), layout="constrained")
    top, bottom = figure.subplots(2, 1)
    figure.suptitle(table.federation, fontsize=9)

    values = [[math.nan if cell is None else cell.mean for cell in row] for row in accuracy]
    texts = [["" if cell is None else cell.text for cell in row] for row in accuracy]
    low, high = table.reference - FULL_DAMAGE, table.reference
    _paint(top, table, values, texts, low, high, COLOURS.removesuffix("_r"), "test accuracy (%)")
    shares = [[None if cell is None else cell.share for cell in row] for row in accuracy]
    values = [[math.nan if share is None else share for share in row] for row in shares]
    texts = [["-" if share is None else f"{share:.0f}" for share in row] for row in shares]
    label = f"weight of the Byzantine rows (%)\n{table.expected_share:.0f} is their number, 0 is caught"
    _paint(bottom, table, values, texts, 0, 2 * table.expected_share or 1, COLOURS, label)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150, format="png")
    write(path, buffer.getvalue())


def _paint(
    axes: Any,
    table: Table,
    values: Any,
    texts: Sequence[Sequence[str]],
    low: float,
    high: float,
    colours: str,
    label: str,
) -> None:
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto", alpha=0.85)
    axes.set_xticks(range(len(table.rules)), table.rules, rotation=25 if len(table.rules) > 8 else 0, parse_math=False)
    axes.set_yticks(range(len(table.attacks)), table.attacks, parse_math=False)
    axes.tick_params(length=0)
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            axes.text(j, i, text, ha="center", va="center", fontsize=9)
    axes.figure.colorbar(image, ax=axes, label=label, extend="min" if colours != COLOURS else "max")


def write_all(table: Table, folder: Path) -> list[Path]:
    """Write results.csv, table.md and heatmap.png; returns their paths."""
    paths = [folder / name for name in ("results.csv", "table.md", "heatmap.png")]
    write(paths[0], results_csv(table.records))
    write(paths[1], markdown(table))
    heatmap(table, paths[2])
    return paths
