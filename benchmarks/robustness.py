"""Play the federations of docs/robustness.md, stand.md and field.md, and write the tables behind these pages.

    python benchmarks/robustness.py --part digits [--rules median,nnm+rbtm] [--workers 2]
    gradskew report results/robustness results/trial --leaderboard docs/robustness.md

Parts, which are in parts.py: `digits` (beta 0.5 and 0.1: every rule that needs nothing more, alone and behind nnm,
bucketing and arc; hours), `caps` (searches with caps 3 and 1), `iid`, `root` (FLTrust), `fashion`, and `cifar` (with
`--data`). Those of the trial of docs/stand.md, for `--tables results/trial`: `trial`, `trial-root`, `trial-root-fast`,
`trial-settings`, `trial-full`, `trial-caf`, `trial-sampled`, `trial-fashion`, `trial-cifar`, and `trial-named`, which
is played on seeds 15 to 17 first (`--seeds`, with `--tables` of its own), where the attack of `trial-chosen` is chosen.
`votes` and `better` for the same page: `better` has variants of consensus_dnc, of which one is chosen on seeds 15 to
17. Those of docs/field.md, for `--tables results/field`: `field`, `field-training` (the paper's rules),
`field-training-further`, `field-fashion`. A run whose digest is in results/robustness/PART.csv is not played; the lines
of the others are added to it after each rule. So a part is played on several days and machines, a few rules (`--rules`)
or seeds (`--seeds 10,11`; a single number is how many) at a time. Where each try of a search is a call of the rule, at
most 60 are made in a round, but in `trial-full` and `trial-caf`.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import gradskew as gs
from gradskew.core.errors import InputError, check
from gradskew.core.files import write
from gradskew.core.grammar import split_list
from gradskew.report.export import results_csv
from gradskew.runs.settings import make_runs
from gradskew.runs.sweeps import stored
from parts import PARTS


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
    head = list(dict.fromkeys(name for line in [*old.values(), *new.values()] for name in line))
    head = head or text.splitlines()[0].split(",")
    content = io.StringIO()
    rows = csv.writer(content, lineterminator="\n")
    rows.writerows([line.get(name, "") for name in head] for line in lines.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, "\n".join([",".join(head), *sorted(content.getvalue().splitlines()), ""]))
    return [f"{digest}: {new[digest]}" for digest in new.keys() & old.keys() if new[digest] != old[digest]]


if __name__ == "__main__":
    sys.exit(main())
