"""The tables of rules and of mixings, and the way from a name to a pipeline of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.catalogue import MAKERS, Catalogue
from ..core.errors import check
from ..core.grammar import parse

if TYPE_CHECKING:
    from .base import Aggregator, Mixing

FIRST = ("mean", "multikrum", "median", "rbtm", "rfa", "aksel", "cclip", "dnc")  # of the paper, and the mean


def _load(path: str, given: Mapping[str, Any], alias: str) -> Aggregator:
    """Make the rule at a path; one that is no `Aggregator` is wrapped."""
    from ..core.plugin import load_plugin
    from .base import Aggregator
    from .user import UserRule

    rule: Aggregator = load_plugin(UserRule, Aggregator, path, given, alias=alias)
    return rule


RULES: Catalogue[Aggregator] = Catalogue("aggregator", __package__, "Aggregator", first=FIRST, wrap=_load)
"""All rules by name."""
MIXINGS: Catalogue[Mixing] = Catalogue("mixing", __package__, "Mixing", registered_as="aggregator")
"""All mixings by name."""


def names() -> list[str]:
    """Return the names of all rules that need no more than the rows, without mixings."""
    return [key for key, cls in RULES.classes.items() if not cls.needs]


def make(name: str, *, preset: str = "paper") -> Aggregator:
    """Return the rule with this name: `median`, `nnm+rfa`, `bucketing(s=2)+multikrum`, `nnm+package.module:rule`.

    A name with a colon is the path of a function, an object or a class of somebody else's; a name that is not ours may
    be one that an installed package registers as an entry point of `gradskew.aggregators`. preset: `paper`,
    `strike-authors` or `byzfl`; options written in the name count over it. Raises ValueError for an unknown name or
    option, naming the nearest.

    >>> make("bucketing(s=3)+MultiKrum").name, make("krum").name
    ('bucketing(s=3)+multikrum', 'multikrum(m=1)')
    """
    *mixings, (last, options) = parse(name)
    check(last not in MIXINGS, f"{last} is a mixing and stands before a rule, as in '{last}+mean'")
    rule = RULES.make(last, options, preset=preset)
    for key, given in reversed(mixings):
        check(key not in RULES, f"{key} is a rule and stands last: only mixings ({', '.join(MIXINGS)}) come before it")
        from .base import Mixed

        rule = Mixed(mixing=MIXINGS.make(key, given, preset=preset), rule=rule)
    return rule


MAKERS["Aggregator"] = lambda text, preset: make(text, preset=preset)  # an option takes a pipeline, too
