"""Tabulate which attack is worst on which rule, and what training and mixing change, from the tables of docs/field.md.

    python benchmarks/field.py results/field > tables.md

Reads the tables that `robustness.py` writes for the parts `field`, `field-training` and `field-fashion`. Accuracies are
means over seeds with the sample standard deviation; a difference is paired by seed. An attack is level with the worst
one of a rule where the 95 % interval of the paired difference, by Student's t, has 0 in it, or with one seed.
"""

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.special import stdtrit

from gradskew.report.export import federation_digest
from gradskew.runs.settings import make_runs
from parts import PARTS

Column = dict[int, float]  # accuracy by seed
Cells = dict[str, dict[str, Column]]  # by rule and attack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    cells = read(sorted(folder.glob("*.csv")))
    skews = {text(each): cells.get(digest(each), {}) for each in PARTS["field"].federations}
    for name, of_skew in skews.items():
        if of_skew:
            print(f"## {name}\n\n{by_attack(of_skew)}\n\n{by_rule(of_skew)}\n")
    print(by_training(cells))
    for each in PARTS["field-fashion"].federations:
        if found := cells.get(digest(each)):
            print(f"\n## Fashion-MNIST, {text(each)}\n\n{by_attack(found)}\n\n{by_rule(found)}")


def read(paths: Iterable[Path]) -> dict[str, Cells]:
    """Return the accuracies by federation, rule, attack and seed."""
    found: dict[str, Cells] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for path in paths:
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                cell = found[line["federation"]][line["aggregator"]][line["attack"]]
                cell[int(line["seed"])] = float(line["accuracy"])
    return found


def digest(federation: Mapping[str, Any]) -> str:
    """Return the name of a federation in the tables."""
    (run,) = make_runs({**federation, "attacks": "none", "rules": "mean", "seeds": "0,"})
    return federation_digest(run.content)


def text(federation: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in federation.items() if name != "dataset")


def by_attack(cells: Cells) -> str:
    """Return a table of the attacks: the points that each takes, and on how many rules it is the worst, or level."""
    attacks = [name for name in order(cells) if name != "none"]
    worst, level = defaultdict(list), defaultdict(list)
    for rule, columns in cells.items():
        name, others = worst_of(columns)
        worst[name].append(rule)
        for other in others:
            level[other].append(rule)
    rows = []
    for attack in attacks:
        losses: dict[int, list[float]] = defaultdict(list)
        for columns in cells.values():
            for seed, loss in differences(columns.get(attack, {}), columns.get("none", {})).items():
                losses[seed].append(loss)
        mean = {seed: -fmean(each) for seed, each in losses.items()}
        rows.append([attack, spread(mean), str(len(worst[attack])), str(len(level[attack]))])
    rows.sort(key=lambda row: (-int(row[2]), -float(row[1].split()[0].replace("–", "0"))))
    return table(
        ["attack", "points lost, mean over rules", f"worst on, of {len(cells)} rules", "level with it on"], rows
    )


def by_rule(cells: Cells) -> str:
    """Return a table of the rules: without an attack, under the worst one and under STRIKE."""
    rows = []
    for rule, columns in cells.items():
        name, others = worst_of(columns)
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        rows.append([rule, *(spread(columns.get(key, {})) for key in ("none", name, "strike")), name, shown or "–"])
    rows.sort(key=lambda row: -float(row[2].split()[0]))
    return table(["rule", "no attack", "worst attack", "STRIKE", "the worst is", "level with it"], rows)


def by_training(found: Mapping[str, Cells]) -> str:
    """Return a table for each skew: the least accuracy of each rule over all attacks, by training and behind NNM."""
    parts = []
    part = PARTS["field-training"]
    for base in PARTS["field"].federations:
        plain = found.get(digest(base), {})
        variants = {"FedAvg": plain, "FedAvg, behind NNM": {rule: plain.get(f"nnm+{rule}", {}) for rule in part.rules}}
        for each in part.federations:
            if each.items() >= base.items():
                rest = {name: value for name, value in each.items() if name not in base}
                variants[text(rest)] = found.get(digest(each), {})
        if not any(variants[name] for name in list(variants)[2:]):
            continue
        names = [name for name, cells in variants.items() if any(cells.get(rule) for rule in part.rules)]
        common = [rule for rule in part.rules if all(variants[name].get(rule) for name in names) and rule != "mean"]
        rows = []
        for rule in part.rules:
            rows.append([rule, *(worst_text(variants[name].get(rule, {})) for name in names)])
        means = []
        for name in names:
            seeds: dict[int, list[float]] = defaultdict(list)
            for rule in common:
                for seed, value in least(variants[name].get(rule, {})).items():
                    seeds[seed].append(value)
            means.append(spread({seed: fmean(values) for seed, values in seeds.items()}))
        rows.append([f"mean of {', '.join(common)}", *means])
        parts.append(f"## Training, {text(base)}\n\n{table(['rule', *names], rows)}")
    return "\n\n".join(parts)


def worst_text(columns: Mapping[str, Column]) -> str:
    return f"{spread(least(columns))} ({spread(columns['none'])})" if columns.get("none") else "–"


def least(columns: Mapping[str, Column]) -> Column:
    """Return the least accuracy over the attacks, by seed."""
    attacked = [column for name, column in columns.items() if name != "none"]
    seeds = set.intersection(*map(set, attacked)) if attacked else set()
    return {seed: min(column[seed] for column in attacked) for seed in sorted(seeds)}


def worst_of(columns: Mapping[str, Column]) -> tuple[str, list[str]]:
    """Return the attack of the least mean accuracy, and those that cannot be told apart from it, the nearest first."""
    means = {name: fmean(column.values()) for name, column in columns.items() if name != "none"}
    worst = min(means, key=lambda name: means[name])
    others = sorted((name for name in means if name != worst), key=lambda name: means[name])
    return worst, [name for name in others if not apart(differences(columns[name], columns[worst]).values())]


def apart(gaps: Iterable[float]) -> bool:
    """Return whether the 95 % interval of the mean of paired differences is above 0."""
    gaps = list(gaps)
    if len(gaps) < 2:
        return False
    return fmean(gaps) > float(stdtrit(len(gaps) - 1, 0.975)) * stdev(gaps) / math.sqrt(len(gaps))


def differences(first: Column, other: Column) -> Column:
    return {seed: first[seed] - other[seed] for seed in first.keys() & other.keys()}


def spread(column: Mapping[int, float]) -> str:
    values = list(column.values())
    if not values:
        return "–"
    return f"{fmean(values):.1f}" + (f" ±{stdev(values):.1f}" if len(values) > 1 else "")


def order(cells: Cells) -> list[str]:
    return list(dict.fromkeys(attack for columns in cells.values() for attack in columns))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
