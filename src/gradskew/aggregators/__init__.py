"""Robust aggregation rules (AGRs) and the mixings that stand before them: one file each, one table of names."""

from __future__ import annotations

from ..checks import check, unknown
from ..names import Registry, parse
from ..presets import PRESETS
from .aksel import Aksel
from .base import Aggregator, Mixed, Mixing, Outcome, WeightedRule, least_kappa
from .bucketing import Bucketing
from .cclip import CClip
from .dnc import DnC
from .mean import Mean
from .median import Median
from .multikrum import MultiKrum
from .nnm import NNM
from .rbtm import RBTM
from .rfa import RFA

__all__ = [
    "MIXINGS",
    "NNM",
    "RBTM",
    "RFA",
    "RULES",
    "Aggregator",
    "Aksel",
    "Bucketing",
    "CClip",
    "DnC",
    "Mean",
    "Median",
    "Mixed",
    "Mixing",
    "MultiKrum",
    "Outcome",
    "WeightedRule",
    "least_kappa",
    "make",
    "names",
]

RULES: Registry[Aggregator] = Registry("aggregator", [Mean, MultiKrum, Median, RBTM, RFA, Aksel, CClip, DnC])
"""All rules by name."""
MIXINGS: Registry[Mixing] = Registry("mixing", [Bucketing, NNM])
"""All mixings by name."""


def names() -> list[str]:
    """The names of all rules, without mixings."""
    return list(RULES)


def make(name: str, *, preset: str = "paper") -> Aggregator:
    """The rule with this name: `median`, `nnm+rfa`, `bucketing(s=2)+multikrum`.

    preset: `paper`, `strike-authors` or `byzfl`; options written in the name count over it. Raises ValueError for an
    unknown name or option, naming the nearest.

    >>> make("bucketing(s=3)+multikrum").name
    'bucketing(s=3)+multikrum'
    """
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    *mixings, (last, options) = parse(name)
    check(last not in MIXINGS, f"{last} is a mixing and stands before a rule, as in '{last}+mean'")
    if last not in RULES:
        raise unknown("aggregator", last, [*RULES, *MIXINGS])
    rule = RULES.make(last, options, PRESETS[preset].get(last))
    for key, given in reversed(mixings):
        check(key not in RULES, f"{key} is a rule and stands last: only mixings ({', '.join(MIXINGS)}) come before it")
        rule = Mixed(mixing=MIXINGS.make(key, given, PRESETS[preset].get(key)), rule=rule)
    return rule
