"""Play the federations of docs/robustness.md, and write the tables of which `gradskew report` makes that page.

    python benchmarks/robustness.py --part digits [--rules median,nnm+rbtm] [--workers 2]
    gradskew report results/robustness --leaderboard docs/robustness.md

Parts: `digits` (beta 0.5 and 0.1: every rule that needs nothing more, alone and behind nnm, bucketing and arc; hours),
`caps` (searches with caps 3 and 1), `iid`, `root` (FLTrust), `fashion`, and `cifar` (with `--data`). Those of the trial
of docs/stand.md, for `--tables results/trial`: `trial`, `trial-root`, `trial-settings`, `trial-fashion`, `trial-cifar`,
and `trial-named`, which is played on seeds 15 to 17 first (`--seeds`, with `--tables` of its own), where its attack is
chosen. A run whose digest is in results/robustness/PART.csv is not played; the lines of the others are added to it
after each rule. So a part is played on several days and machines, a few rules (`--rules`) or seeds (`--seeds`) at a
time. Where each try of a search is a call of the rule, at most 60 are made in a round.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradskew as gs
from gradskew import aggregators, attacks
from gradskew.attacks import Adaptive, Attack
from gradskew.core.errors import InputError, check
from gradskew.core.files import write
from gradskew.core.grammar import split_list
from gradskew.report.export import results_csv
from gradskew.runs.settings import make_runs, split_names
from gradskew.runs.sweeps import stored

LIMIT = 60  # tries of a search in a round, where each is a call of the rule
SEEDS = "10,11,12,13,14"  # no choice was made on them
FEWER = "10,11,12"
PAPER = [*aggregators.PAPER, "nnm+multikrum"]
TWELVE = [*PAPER, "cclip(tau=0.5)", "nnm+rbtm", "bucketing+median"]
SIX = ["mean", "multikrum", "median", "rbtm", "nnm+multikrum", "nnm+rbtm"]
SEARCHES = [attack for attack in map(attacks.make, attacks.WORST) if isinstance(attack, Adaptive)]
CAPPED = [replace(attack, cap=cap) for cap in (3.0, 1.0) for attack in SEARCHES]
STRONGEST = [attacks.make(name) for name in ("none", "bitflip", "ipm", "strike")]
STRONGEST += [attack for attack in SEARCHES if attack.aim.startswith("loss+stop")]

STANDS = ["consensus_dnc", "clipping(c=median)+consensus", "clipping(c=median)+dnc(b=None)", "ptm"]
AIMS = ("loss", "loss+stop", "loss+stop+undo")
FULL = [Adaptive(aim=aim, effort="full", cap=None) for aim in AIMS]
TRIED = [*map(attacks.make, attacks.PAPER), *FULL]
HEAVIEST = [attacks.make("none"), *(Adaptive(aim=aim, cap=None) for aim in AIMS[1:])]
SETTINGS = [
    {"beta": 0.3},
    {"partition": "iid"},
    {"beta": 0.5, "byzantine": 5},
    {"beta": 0.5, "byzantine": 15},
    {"beta": 0.5, "told": "15"},
    {"beta": 0.5, "clients": 200, "byzantine": 40, "sampled": 20},
]


def every_rule() -> list[str]:
    """Return every rule that needs nothing more, alone and behind mixings, those with fast searches first."""
    alone = split_names("paper,cclip(tau=0.5),all", "rules")
    names = [f"{mixing}{rule}" for mixing in ("", "nnm+", "bucketing+", "arc+") for rule in alone]
    return sorted(names, key=lambda name: is_slow(name))


def is_slow(name: str) -> bool:
    """Return whether each try of a search is a call of the rule; False for a pipeline that cannot be made."""
    try:
        return SEARCHES[0].calls(aggregators.make(name)) > 0
    except InputError:
        return False


@dataclass(frozen=True, kw_only=True)
class Part:
    """Attacks against rules in one federation or several. federations: options of `gs.bench` of each."""

    rules: Sequence[str]
    attacks: Sequence[Attack] = tuple(map(attacks.make, attacks.WORST))
    seeds: str = SEEDS
    federations: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [{}])

    def benches(self, rules: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the options of a bench for each federation and rule."""
        for federation in self.federations:
            for rule in rules:
                limited = [replace(a, limit=LIMIT) if isinstance(a, Adaptive) else a for a in self.attacks]
                yield {**federation, "rules": [rule], "attacks": limited if is_slow(rule) else [*self.attacks]}


PARTS = {
    "digits": Part(rules=every_rule(), federations=[{"beta": 0.5}, {"beta": 0.1}]),
    "caps": Part(rules=PAPER, attacks=CAPPED),
    "iid": Part(rules=PAPER, federations=[{"partition": "iid"}]),
    "root": Part(rules=["mean", "fltrust"], federations=[{"root_examples": 100}]),
    "fashion": Part(
        rules=TWELVE, seeds=FEWER, federations=[{"dataset": "fashion_mnist(train_size=10000)", "beta": 0.1}]
    ),
    "cifar": Part(
        rules=SIX,
        attacks=STRONGEST,
        seeds=FEWER,
        federations=[{"dataset": "cifar10(train_size=10000,test_size=2000)", "beta": 0.5}],
    ),
    "trial": Part(
        rules=[*STANDS, *PAPER, "nnm+rbtm", "bucketing+median"],
        attacks=TRIED,
        federations=[{"beta": 0.5}, {"beta": 0.1}],
    ),
    "trial-root": Part(
        rules=["fltrust", "cclip(centre=reference,tau=least)"],
        attacks=TRIED,
        federations=[{"beta": 0.5, "root_examples": 100}, {"beta": 0.1, "root_examples": 100}],
    ),
    "trial-settings": Part(
        rules=["consensus_dnc", "median", "multikrum"],
        attacks=[attacks.make("none"), *(Adaptive(aim=aim, cap=None) for aim in AIMS)],
        federations=SETTINGS,
    ),
    "trial-fashion": Part(
        rules=["consensus_dnc", "median", "clipping(c=median)+dnc(b=None)", "multikrum"],
        attacks=HEAVIEST,
        seeds=FEWER,
        federations=[{"dataset": "fashion_mnist(train_size=10000)", "beta": beta} for beta in (0.5, 0.1)],
    ),
    "trial-cifar": Part(
        rules=["consensus_dnc", "median", "multikrum"],
        attacks=HEAVIEST,
        seeds="10,11",
        federations=[{"dataset": "cifar10(train_size=10000,test_size=2000)", "beta": 0.5}],
    ),
    "trial-named": Part(
        rules=["consensus_dnc"],
        attacks=[
            Adaptive(aim=aim, effort="full", cap=cap)
            for aim in (*AIMS, "stop", "undo", "stop+undo", "loss+undo")
            for cap in (None, 3.0, 1.0)
        ],
        federations=[{"beta": 0.5}],
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--rules", help="comma-separated; default: all of the part")
    parser.add_argument("--seeds", help="comma-separated; default: those of the part")
    parser.add_argument("--rounds", type=int, help="for a trial, with tables in --out; default: those of the data set")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder with the data set's files")
    parser.add_argument("--out", type=Path, default=Path("gradskew-results/robustness"), help="folder of the records")
    parser.add_argument("--tables", type=Path, help="folder of the tables; default: results/robustness")
    given = parser.parse_args(arguments)
    tables = given.tables or (given.out if given.rounds else Path("results/robustness"))
    part, table = PARTS[given.part], tables / f"{given.part}.csv"
    rules = split_list(given.rules, "rules") if given.rules else part.rules
    options = {name: value for name in ("rounds", "data") if (value := getattr(given, name)) is not None}
    failed = False
    for bench in part.benches(rules):
        told = ", ".join(f"{name} {value}" for name, value in bench.items() if name != "attacks")
        try:
            runs = make_runs({**bench, **options, "seeds": given.seeds or part.seeds})
            known = read_lines(table)
            left = [run for run in runs if run.digest not in known]
            try:
                gs.sweep(left, given.out / given.part, workers=given.workers)
            finally:  # what has been played is kept, also of a sweep that fails or is interrupted
                for line in add_lines(table, stored(left, given.out / given.part)):
                    print(f"another result than in {table}, which keeps its own: {line}", flush=True)
            print(f"{told}: {len(left)} of {len(runs)} runs played", flush=True)
        except InputError as error:
            failed = True
            print(f"{told}: {error}", flush=True)
    return int(failed)


def read_lines(path: Path) -> dict[str, dict[str, str]]:
    """Return the lines of a table by digest; none if there is no table."""
    if not path.exists():
        return {}
    lines = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    check("digest" in (lines.fieldnames or ()), f"{str(path)!r} is no results.csv of a bench")
    return {line["digest"]: line for line in lines}


def add_lines(path: Path, records: Iterable[gs.Record]) -> list[str]:
    """Add the lines of records to a table, in alphabetical order; return those of runs that have another one there."""
    text = results_csv(records)
    new, old = {line["digest"]: line for line in csv.DictReader(io.StringIO(text))}, read_lines(path)
    lines = {**new, **old}
    head = list(dict.fromkeys([*text.splitlines()[0].split(","), *(name for line in old.values() for name in line)]))
    content = io.StringIO()
    rows = csv.writer(content, lineterminator="\n")
    rows.writerows([line.get(name, "") for name in head] for line in lines.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, "\n".join([",".join(head), *sorted(content.getvalue().splitlines()), ""]))
    return [f"{digest}: {new[digest]}" for digest in new.keys() & old.keys() if new[digest] != old[digest]]


if __name__ == "__main__":
    sys.exit(main())
