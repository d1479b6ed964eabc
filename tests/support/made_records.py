"""Make records by hand, and tables of real runs."""

from __future__ import annotations

from pathlib import Path

from gradskew import Run, aggregators, attacks, grid, sweep
from gradskew.federation.optimizer import SGD
from gradskew.models import MLP
from gradskew.report.table import Table
from gradskew.runs.record import Record

SPEC = {
    "dataset": "digits",
    "clients": 10,
    "sampled": 10,
    "byzantine": 2,
    "partition": {"name": "dirichlet", "beta": 0.5, "min_samples": 2},
    "model": {"name": "linear"},
    "sgd": {"name": "sgd", "epochs": 2, "batch": 16, "lr": 0.2},
    "knowledge": 1.0,
    "rounds": 1,
    "seed": 0,
}


def one_round(accuracy, **changes):
    metrics = {
        "accuracy": accuracy,
        "byzantine_share": None,
        "distance": None,
        "rejected": 0,
        "clamped": False,
        "stepped": True,
        "attack": {"called": True},
        "rule": {},
    }
    return {**metrics, **changes}


def record(attack, rule, accuracy, /, *, seed=0, **changes):
    """Return a record of two equal rounds; of as many as there are if accuracy is a list."""
    accuracies = accuracy if isinstance(accuracy, list) else [accuracy, accuracy]
    spec = {**SPEC, "attack_name": attack, "aggregator_name": rule, "seed": seed, "rounds": len(accuracies)}
    keys = {"attack": attack.partition("(")[0], "aggregator": rule.rpartition("+")[2].partition("(")[0]}
    spec |= {kind: {"name": key} for kind, key in keys.items()}
    return Record(spec, [one_round(each, **changes) for each in accuracies], f"sha of {attack} {rule} {seed}")


SMALL = {"clients": 12, "byzantine": 2, "rounds": 3, "sgd": SGD(epochs=1), "model": MLP(hidden=8)}


def made(folder: Path, sent: str = "none,strike", rules: str = "multikrum,median", seeds: int = 2, **changes) -> Table:
    base = Run(**{**SMALL, **changes})
    forgers = [attacks.make(name) for name in sent.split(",")]
    judges = [aggregators.make(name) for name in rules.split(",")]
    return Table(sweep(grid(base, attacks=forgers, aggregators=judges, seeds=range(seeds)), folder))
