"""Robust aggregation rules (AGRs) and the mixings that stand before them: one file each, one table of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import check, unknown
from ..core.importing import is_path, registered
from ..core.names import Registry, parse
from ..core.plugin import load_plugin
from ..core.presets import PRESETS
from .aksel import Aksel
from .base import Aggregator, Mixed, Mixing, Outcome, WeightedRule, least_kappa
from .bucketing import Bucketing
from .cclip import CClip
from .dnc import DnC
from .fltrust import FLTrust
from .mean import Mean
from .median import Median
from .multikrum import MultiKrum
from .nnm import NNM
from .rbtm import RBTM
from .rfa import RFA
from .user import UserRule

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
    "FLTrust",
    "Mean",
    "Median",
    "Mixed",
    "Mixing",
    "MultiKrum",
    "Outcome",
    "UserRule",
    "WeightedRule",
    "least_kappa",
    "make",
    "names",
]

RULES: Registry[Aggregator] = Registry("aggregator", [Mean, MultiKrum, Median, RBTM, RFA, Aksel, CClip, DnC, FLTrust])
"""All rules by name."""
MIXINGS: Registry[Mixing] = Registry("mixing", [Bucketing, NNM])
"""All mixings by name."""


def names() -> list[str]:
    """The names of all rules, without mixings."""
    return list(RULES)


def make(name: str, *, preset: str = "paper") -> Aggregator:
    """The rule with this name: `median`, `nnm+rfa`, `bucketing(s=2)+multikrum`, `nnm+package.module:rule`.

    A name with a colon is the path of a function, an object or a class of somebody else's; a name that is not ours may
    be one that an installed package registers as an entry point of `gradskew.aggregators`. preset: `paper`,
    `strike-authors` or `byzfl`; options written in the name count over it. Raises ValueError for an unknown name or
    option, naming the nearest.

    >>> make("bucketing(s=3)+multikrum").name
    'bucketing(s=3)+multikrum'
    """
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    *mixings, (last, options) = parse(name)
    check(last not in MIXINGS, f"{last} is a mixing and stands before a rule, as in '{last}+mean'")
    rule = RULES.make(last, options, PRESETS[preset].get(last)) if last in RULES else _theirs(last, options)
    for key, given in reversed(mixings):
        check(key not in RULES, f"{key} is a rule and stands last: only mixings ({', '.join(MIXINGS)}) come before it")
        rule = Mixed(mixing=MIXINGS.make(key, given, PRESETS[preset].get(key)), rule=rule)
    return rule


def _theirs(name: str, options: Mapping[str, Any]) -> Aggregator:
    """A rule that is not ours: by its path, or by the name that a package registered."""
    others = {} if is_path(name) else registered("aggregator")
    if not is_path(name) and name not in others:
        raise unknown("aggregator", name, [*RULES, *MIXINGS, *others])
    called = name if name in others else ""
    rule: Aggregator = load_plugin(
        UserRule, Aggregator, others.get(name, name), options, called=called, taken=list(RULES)
    )
    return rule
