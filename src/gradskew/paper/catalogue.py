"""The paper's experiments, at the authors' scale and at a small one for two cores. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRESET = "strike-authors"
SCALES = ("small", "paper")

ATTACKS = {
    "bitflip": "BitFlip",
    "lie": "LIE",
    "ipm": "IPM",
    "minmax": "MinMax",
    "minsum": "MinSum",
    "mimic": "Mimic",
    "strike": "STRIKE",
}
RULES = {
    "multikrum": "Multi-Krum",
    "median": "Median",
    "rfa": "RFA",
    "aksel": "Aksel",
    "cclip": "CCLip",
    "dnc": "DnC",
    "rbtm": "RBTM",
}
BETAS = (0.1, 0.2, 0.5, 0.7, 0.9)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A table or figure: attacks against rules, under one partition or several, with the paper's labels by name.

    dataset: the paper's, or our choice where the paper gives none (Figure 8). federation: options of `bench` that
    differ from Table 1's. chart: `points`, `lines` over the columns, or lines over the `rows`; empty for a table only.
    pictured: the number of rounds whose updates are drawn in the plane, instead of accuracies.
    """

    title: str
    dataset: str
    rows_are: str = "attack"
    columns_are: str = "rule"
    attacks: Mapping[str, str] = field(default_factory=lambda: ATTACKS)
    aggregators: Mapping[str, str] = field(default_factory=lambda: RULES)
    partitions: Mapping[str, str] = field(default_factory=dict)
    federation: Mapping[str, Any] = field(default_factory=dict)
    chart: str = ""
    pictured: int = 0


PICTURED: Mapping[str, Any] = {
    "dataset": "cifar10",
    "aggregators": {"mean": "mean"},
    "federation": {"clients": 100, "sampled": 100},
}
EXPERIMENTS: Mapping[str, Experiment] = {
    "table1": Experiment(title="Table 1: accuracy under seven attacks on seven rules", dataset="cifar10"),
    "table2": Experiment(
        title="Table 2: accuracy under attacks on rules behind NNM",
        dataset="imagenet12",
        attacks={key: ATTACKS[key] for key in ("bitflip", "lie", "mimic", "strike")},
        aggregators={f"nnm+{key}": f"NNM + {RULES[key]}" for key in ("median", "rfa", "dnc")},
    ),
    "figure1": Experiment(
        title="Figure 1: LLE of honest and forged updates", attacks={"strike": "STRIKE"}, pictured=1, **PICTURED
    ),
    "figure2": Experiment(title="Figure 2: LLE of honest updates", attacks={"none": "none"}, pictured=6, **PICTURED),
    "figure4": Experiment(
        title="Figure 4: accuracy under seven attacks on rules behind bucketing",
        dataset="imagenet12",
        aggregators={f"bucketing+{key}": label for key, label in RULES.items()},
        columns_are="rule behind bucketing",
        chart="points",
    ),
    "figure7": Experiment(
        title="Figure 7: accuracy under STRIKE by its strength nu",
        dataset="imagenet12",
        attacks={f"strike(nu={step / 4})": f"{step / 4:g}" for step in range(1, 9)},
        rows_are="nu",
        chart="rows",
    ),
    "figure8": Experiment(
        title="Figure 8: accuracy by the Dirichlet concentration beta",
        dataset="cifar10",
        partitions={**{f"dirichlet(beta={beta})": f"{beta:g}" for beta in BETAS}, "iid": "IID"},
        columns_are="beta",
        chart="lines",
    ),
}

# The authors' released settings (docs/semantics.md), for the data sets of the paper.
IMAGES = {"rounds": 200, "epochs": 1, "batch": 128, "lr": 0.1, "momentum": 0.9, "seeds": "3"}
AUTHORS: Mapping[str, Mapping[str, Any]] = {
    "cifar10": {**IMAGES, "model": "alexnet"},
    "imagenet12": {**IMAGES, "model": "resnet18"},
    "imagenette": {**IMAGES, "model": "resnet18"},
    "femnist": {
        **IMAGES,
        "model": "femnist_cnn",
        "rounds": 800,
        "lr": 0.5,
        "momentum": 0.5,
        "sampled": 10,
        "evaluate_every": 10,
    },
}
# Data sets for two cores: fewer and smaller images. Each federation is the data set's recipe.
SMALL = {
    "cifar10": "cifar10(train_size=10000,test_size=2000)",
    "imagenet12": "imagenet12(size=32,train_size=10000)",
    "imagenette": "imagenette(size=32)",
    "fashion_mnist": "fashion_mnist(train_size=10000)",
}
