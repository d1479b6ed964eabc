"""Tabulate which attack is worst on which rule, and what training and mixing change: the tables of docs/field.md.

    python benchmarks/field.py results/field docs/field.md

Reads the tables that `robustness.py` writes for the parts `field`, `field-training`, `field-training-further` and
`field-fashion`, and replaces what stands in the page between `<!-- table: NAME -->` and `<!-- end -->`; without a page,
prints the tables. Accuracies are means over seeds with the sample standard deviation; a difference is paired by seed.
An attack is not told apart from the worst one of a rule where the 95 % interval of the paired difference, by Student's
t, has 0 in it, or with one seed.
"""

import argparse
import csv
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.special import stdtrit

from gradskew import aggregators
from gradskew.report.export import federation_digest
from gradskew.runs.settings import make_runs
from parts import MIXED, PARTS

Column = dict[int, float]  # accuracy by seed
Cells = dict[str, dict[str, Column]]  # by rule and attack
FIRST = [*aggregators.PAPER, *MIXED]  # rules of the first tables
TRAINED = ("multikrum", "median", "rbtm")  # rules over which trainings are compared
FOLLOW = ("mean", "cclip", "rfa", "rlr", "foolsgold")  # rules that huge rows move, foolsgold where these differ
MARKED = re.compile(r"<!-- table: (?P<name>.*?) -->\n.*?<!-- end -->", re.DOTALL)  # a table in the page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the tables of the runs")
    parser.add_argument("page", type=Path, nargs="?", help="the page whose tables are replaced")
    given = parser.parse_args()
    paths = sorted(given.folder.glob("*.csv"))
    if not paths:
        parser.error(f"{given.folder}: no table of runs")
    try:
        tables = tabulate(read(paths))
        if given.page is None:
            print("\n\n".join(f"## {name}\n\n{lines}" for name, lines in tables.items()))
        else:
            given.page.write_text(fill(given.page.read_text(), tables))
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")


def tabulate(found: Mapping[str, Cells]) -> dict[str, str]:
    """Return the tables of the page by name."""
    parts: dict[str, Cells] = {}
    for each in PARTS["field"].federations:
        cells = found.get(digest(each), {})
        for suffix, first in (("", True), (", further rules", False)):
            parts[f"{text(each)}{suffix}"] = {rule: cells[rule] for rule in cells if (rule in FIRST) == first}
    for each in PARTS["field-fashion"].federations:
        parts[f"Fashion-MNIST, {text(each)}"] = found.get(digest(each), {})
    tables = {name: f"{by_attack(cells)}\n\n{by_rule(cells)}" for name, cells in parts.items() if cells}
    return tables | by_training(found)


def fill(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with these tables in the places that are marked with their names."""

    def replacement(found: re.Match[str]) -> str:
        if (name := found["name"]) not in tables:
            raise SystemExit(f"the page asks for the table {name!r}; there are: {'; '.join(tables)}")
        return f"<!-- table: {name} -->\n\n{tables[name]}\n\n<!-- end -->"

    return MARKED.sub(replacement, page)


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
    """Return a table of the attacks: the points that each takes, and on how many rules it is the worst.

    Where huge rows move some of the rules, a second column has the points on the others.
    """
    worst, close = Counter[str](), Counter[str]()
    for columns in cells.values():
        name, others = worst_of(columns)
        worst[name] += 1
        close.update(others)
    groups = {f"points lost on {len(cells)} rules": cells}
    bounded = {rule: columns for rule, columns in cells.items() if rule.removeprefix("nnm+") not in FOLLOW}
    if len(bounded) < len(cells):
        groups[f"on the {len(bounded)} that huge rows do not move"] = bounded
    rows = []
    for attack in dict.fromkeys(name for columns in cells.values() for name in columns if name != "none"):
        lost = [taken(group, attack) for group in groups.values()]
        rows.append((-worst[attack], -fmean(lost[0].values()), [attack, *map(spread, lost)]))
    table_rows = [[*row, str(worst[row[0]]), str(close[row[0]])] for *_, row in sorted(rows)]
    return table(["attack", *groups, "worst on", "not told apart from the worst on"], table_rows)


def taken(cells: Cells, attack: str) -> Column:
    """Return the points that an attack takes by seed, the mean over the rules that met it."""
    losses: dict[int, list[float]] = defaultdict(list)
    for columns in cells.values():
        for seed, loss in differences(columns.get("none", {}), columns.get(attack, {})).items():
            losses[seed].append(loss)
    return {seed: fmean(values) for seed, values in losses.items()}


def by_rule(cells: Cells) -> str:
    """Return a table of the rules: without an attack, under the worst one and under STRIKE."""
    rows = []
    for rule, columns in cells.items():
        name, others = worst_of(columns)
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        rows.append([rule, *(spread(columns.get(key, {})) for key in ("none", name, "strike")), name, shown or "–"])
    rows.sort(key=lambda row: -float(row[2].split()[0]))
    return table(["rule", "no attack", "worst attack", "STRIKE", "the worst is", "not told apart from it"], rows)


def by_training(found: Mapping[str, Cells]) -> dict[str, str]:
    """Return three tables for each skew, by name: the least accuracy over all attacks, with each training.

    The first has the rules in TRAINED. Its last two columns are means over them: the accuracy, and its difference to
    FedAvg, paired by seed, with half of its 95 % interval. The second has this difference for each other rule of the
    paper, where one was played with some of the trainings. The third: `of_every_rule`, if others were.
    """
    tables = {}
    for base in PARTS["field"].federations:
        plain = found.get(digest(base), {})
        variants = {"FedAvg": plain, "FedAvg, behind NNM": {rule: plain.get(f"nnm+{rule}", {}) for rule in plain}}
        for each in PARTS["field-training"].federations:
            if each.items() >= base.items() and (cells := found.get(digest(each))):
                variants[text({name: value for name, value in each.items() if name not in base})] = cells
        rules = [rule for rule in plain if rule in TRAINED and all(cells.get(rule) for cells in variants.values())]
        if len(variants) < 3 or not rules:
            continue
        first, rows = mean_least(plain, rules), []
        for name, cells in variants.items():
            mean = mean_least(cells, rules)
            gap = "–" if cells is plain else gap_text(mean, first)
            rows.append([name, *(worst_text(cells[rule]) for rule in rules), spread(mean), gap])
        head = ["training", *rules, "mean of these", "to FedAvg, ± half of the 95 % interval"]
        tables[f"training, {text(base)}"] = table(head, rows)
        _, _, *trained = variants.values()
        further = [rule for rule in plain if rule not in rules and any(cells.get(rule) for cells in trained)]
        others = [rule for rule in further if rule in aggregators.PAPER]
        rows = [
            [name, *(compared_text(cells.get(rule, {}), plain[rule] if cells is not plain else {}) for rule in others)]
            for name, cells in variants.items()
            if any(cells.get(rule) for rule in others)
        ]
        if others:
            tables[f"training of further rules, {text(base)}"] = table(["training", *others], rows)
        if len(further) > len(others):
            tables[f"training of every rule, {text(base)}"] = of_every_rule(plain, variants, [*rules, *further])
    return tables


def of_every_rule(plain: Cells, variants: Mapping[str, Cells], rules: Sequence[str]) -> str:
    """Return a table of the rules: the least accuracy with FedAvg, and the difference to it with other trainings.

    variants: the cells of each training by name, of which those with all of these rules count. The last row is the mean
    of the rules that huge rows do not move.
    """
    others = {name: cells for name, cells in variants.items() if cells is not plain and all(map(cells.get, rules))}
    firsts = sorted(((rule, least(plain[rule])) for rule in rules), key=lambda each: -fmean(each[1].values()))
    rows = [
        [rule, spread(first), *(gap_text(least(cells[rule]), first) for cells in others.values())]
        for rule, first in firsts
    ]
    bounded = [rule for rule in rules if rule not in FOLLOW]
    mean = mean_least(plain, bounded)
    gaps = [gap_text(mean_least(cells, bounded), mean) for cells in others.values()]
    rows.append([f"mean of the {len(bounded)} that huge rows do not move", spread(mean), *gaps])
    return table(["rule", "FedAvg", *others], rows)


def compared_text(columns: Mapping[str, Column], plain: Mapping[str, Column]) -> str:
    """Return `worst_text` with the difference of the least accuracy to that of `plain`, if both were played."""
    gap = f", {gap_text(least(columns), least(plain))}" if columns and plain else ""
    return f"{worst_text(columns)}{gap}"


def gap_text(column: Column, first: Column) -> str:
    """Return the mean difference of two columns, by seed, and half of its 95 % interval; – where they share none."""
    gaps = list(differences(column, first).values())
    if not gaps:
        return "–"
    return f"{fmean(gaps):+.1f}" + (f" ±{half_width(gaps):.1f}" if len(gaps) > 1 else "")


def mean_least(cells: Cells, rules: Sequence[str]) -> Column:
    """Return the least accuracy over all attacks by seed, the mean over rules."""
    columns = [least(cells[rule]) for rule in rules]
    return {seed: fmean(column[seed] for column in columns) for seed in set.intersection(*map(set, columns))}


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
    return len(gaps) > 1 and fmean(gaps) > half_width(gaps)


def half_width(gaps: Sequence[float]) -> float:
    """Return half of the 95 % interval of a mean, by Student's t."""
    return float(stdtrit(len(gaps) - 1, 0.975)) * stdev(gaps) / math.sqrt(len(gaps))


def differences(first: Column, other: Column) -> Column:
    return {seed: first[seed] - other[seed] for seed in first.keys() & other.keys()}


def spread(column: Mapping[int, float]) -> str:
    values = list(column.values())
    if not values:
        return "–"
    return f"{fmean(values):.1f}" + (f" ±{stdev(values):.1f}" if len(values) > 1 else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
