"""Other tools' calls for our names, with the options that make both do the same: see docs/semantics.md.

ByzFL, ByzPy and Qora-FL are installed by `make crosschecks`; `plain` is torch and NumPy by hand, in plain_rules.py.
Where a tool takes rows as a list, the list is made beforehand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

from torch import Tensor, stack

import plain_rules
from gradskew.core.round import Round
from timing import Work

# Names that a tool defines in another way, or draws at random: times are compared, answers are not.
OTHERS = {
    "byzfl": ("caf", "smea(search=greedy)", "bucketing+rfa"),
    "byzpy": ("caf", "smea(search=greedy)"),
    "qora_fl": ("krum", "multikrum"),  # distances of 16-bit integers: it takes other rows where their scales differ
    "plain": ("dnc",),  # other columns are drawn
}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A tool's call for the row `name` of the table; `ours`, by `preset`, has the same options. same: see OTHERS."""

    tool: str
    name: str
    call: Work
    ours: str
    preset: str = "paper"
    same: bool = True


def of_byzfl(updates: Tensor, f: int, round: Round) -> tuple[dict[str, Work], dict[str, str]]:
    sys.path.insert(0, str(Path(__file__).parent.parent / "crosschecks"))
    import conftest  # noqa: F401  (stand-ins for what its import wants)
    import byzfl  # isort: skip

    honest, h = updates[f:], len(updates) - f
    krum, nnm, rfa = byzfl.MultiKrum(f), byzfl.NNM(f), byzfl.GeometricMedian()
    calls: dict[str, Callable[[Tensor], Any]] = {
        "mean": byzfl.Average(),
        "cclip": lambda rows: byzfl.CenteredClipping()(rows),  # an object goes on from its last answer
        "multikrum": krum,
        "krum": byzfl.Krum(f),
        "rfa": rfa,
        "median": byzfl.Median(),
        "rbtm": byzfl.TrMean(f),
        "meamed": byzfl.Meamed(f),
        "monna": byzfl.MoNNA(f),
        "mda": byzfl.MDA(f),
        "caf": byzfl.CAF(f),
        "smea(search=greedy)": byzfl.SMEA(f),
        "nnm+multikrum": lambda rows: krum(nnm(rows)),
        "nnm+rfa": lambda rows: rfa(nnm(rows)),
        "nnm+median": lambda rows: byzfl.Median()(nnm(rows)),
        "bucketing+rfa": lambda rows: rfa(byzfl.Bucketing(2)(rows)),
        "clipping+mean": lambda rows: byzfl.Average()(byzfl.Clipping()(rows)),
        "arc+multikrum": lambda rows: krum(byzfl.ARC(f)(rows)),
    }
    attacks = {"lie": byzfl.ALittleIsEnough(), "ipm": byzfl.InnerProductManipulation()}
    works: dict[str, Work] = {name: partial(call, updates) for name, call in calls.items()}
    works.update({name: partial(call, honest) for name, call in attacks.items()})
    # its bucketing takes one row a bucket unless told; its lie divides the variance by h - 1
    return works, {"bucketing+rfa": "bucketing(s=2)+rfa", "lie": f"lie(z={1.5 * math.sqrt(h / (h - 1))!r})"}


def of_byzpy(updates: Tensor, f: int, round: Round) -> tuple[dict[str, Work], dict[str, str]]:
    from byzpy.aggregators.coordinate_wise.mean_of_medians import MeanOfMedians
    from byzpy.aggregators.coordinate_wise.median import CoordinateWiseMedian
    from byzpy.aggregators.coordinate_wise.trimmed_mean import CoordinateWiseTrimmedMean
    from byzpy.aggregators.geometric_wise.geometric_median import GeometricMedian
    from byzpy.aggregators.geometric_wise.krum import Krum, MultiKrum
    from byzpy.aggregators.geometric_wise.minimum_diameter_average import MinimumDiameterAveraging
    from byzpy.aggregators.geometric_wise.monna import MoNNA
    from byzpy.aggregators.geometric_wise.smea import SMEA
    from byzpy.aggregators.norm_wise.caf import CAF
    from byzpy.aggregators.norm_wise.center_clipping import CenteredClipping
    from byzpy.aggregators.norm_wise.comparative_gradient_elimination import ComparativeGradientElimination
    from byzpy.attacks import EmpireAttack, LittleAttack, SignFlipAttack
    from byzpy.pre_aggregators.arc import ARC
    from byzpy.pre_aggregators.bucketing import Bucketing
    from byzpy.pre_aggregators.clipping import Clipping
    from byzpy.pre_aggregators.nnm import NearestNeighborMixing

    n = len(updates)
    rows = list(updates)
    own, honest = rows[:f], rows[f:]
    rules = {
        "cclip": CenteredClipping(c_tau=10.0),
        "multikrum": MultiKrum(f, q=n - f),
        "krum": Krum(f),
        "rfa": GeometricMedian(init="mean", max_iter=8, tol=1e-30),
        "median": CoordinateWiseMedian(),
        "rbtm": CoordinateWiseTrimmedMean(f),
        "meamed": MeanOfMedians(f),
        "cge": ComparativeGradientElimination(f),
        "monna": MoNNA(f),
        "mda": MinimumDiameterAveraging(f),
        "caf": CAF(f),
        "smea(search=greedy)": SMEA(f),
    }
    nnm = NearestNeighborMixing(f)
    mixed = {
        "nnm+multikrum": (nnm, "multikrum"),
        "nnm+rfa": (nnm, "rfa"),
        "nnm+median": (nnm, "median"),
        "bucketing+rfa": (Bucketing(2, perm=range(n)), "rfa"),
        "arc+multikrum": (ARC(f), "multikrum"),
    }
    works: dict[str, Work] = {name: partial(rule.aggregate, rows) for name, rule in rules.items()}
    for name, (mixing, rule) in mixed.items():
        works[name] = lambda mixing=mixing, rule=rules[rule]: rule.aggregate(mixing.pre_aggregate(rows))
    works["clipping+mean"] = lambda: stack(Clipping(2.0).pre_aggregate(rows)).mean(0)  # it has no mean
    works["ipm"] = lambda: EmpireAttack(-0.1).apply(honest_grads=honest)
    works["lie"] = lambda: LittleAttack(f).apply(honest_grads=honest)
    works["bitflip"] = lambda: stack([SignFlipAttack().apply(base_grad=row) for row in own])
    z = NormalDist().inv_cdf((n - (n // 2 + 1 - f)) / n)
    rfa = "rfa(start=mean,steps=8,tol=None)"  # as many steps: its own tolerance is never reached in float32
    return works, {
        "cclip": "cclip(tau=10.0)",
        "rfa": rfa,
        "nnm+rfa": f"nnm+{rfa}",
        "bucketing+rfa": f"bucketing(s=2,shuffle=False)+{rfa}",
        "ipm": "ipm(epsilon=0.1)",
        "lie": f"lie(z={z!r})",
    }


def of_qora(updates: Tensor, f: int, round: Round) -> tuple[dict[str, Work], dict[str, str]]:
    from qora import ByzantineAggregator

    n = len(updates)
    rows = [row[None] for row in updates.numpy()]  # it takes matrices
    most = n - 2 * f - 2  # of the rows that its Multi-Krum averages
    methods = {
        "mean": "fedavg",
        "median": "median",
        "rbtm": "trimmed_mean",
        "krum": f"krum:{f}",
        "multikrum": f"multi_krum:{f}:{most}",
    }
    works: dict[str, Work] = {
        name: partial(ByzantineAggregator(method, f / n).aggregate, rows) for name, method in methods.items()
    }
    return works, {"multikrum": f"multikrum(m={most})"}


TOOLS: Mapping[str, Callable[[Tensor, int, Round], tuple[dict[str, Work], dict[str, str]]]] = {
    "byzfl": of_byzfl,
    "byzpy": of_byzpy,
    "qora_fl": of_qora,
    "plain": plain_rules.works,
}
"""For each tool the function that returns its calls by our names, and ours where the preset alone is not enough."""


def peers(tool: str, updates: Tensor, f: int, round: Round) -> list[Peer]:
    """Return the calls of a tool on these rows."""
    works, ours = TOOLS[tool](updates, f, round)
    preset = tool if tool in ("byzfl", "byzpy") else "paper"
    return [
        Peer(
            tool=tool,
            name=name,
            call=work,
            ours=ours.get(name, name),
            preset=preset,
            same=name not in OTHERS[tool],
        )
        for name, work in works.items()
    ]
