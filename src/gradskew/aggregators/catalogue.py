"""The catalogues of rules and mixings, and `make`, which builds a rule or a pipeline from its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..core.catalogue import MAKERS, Catalogue
from ..core.errors import check
from ..core.grammar import parse

if TYPE_CHECKING:
    from .base import Aggregator
    from .mixing import Mixing

PAPER = ("mean", "multikrum", "median", "rbtm", "rfa", "aksel", "cclip", "dnc")
"""The names of the paper's rules, and the mean."""


def _load(path: str, given: Mapping[str, Any], alias: str) -> Aggregator:
    """Return the rule at a path `package.module:name`; an object that is no `Aggregator` is wrapped."""
    from ..core.plugin import load_plugin
    from .base import Aggregator
    from .user import UserRule

    rule: Aggregator = load_plugin(UserRule, Aggregator, path, given, alias=alias)
    return rule


PIPELINES = {"consensus_dnc": "clipping(c=median)+average(a=consensus,b=dnc(b=None))"}
RULES: Catalogue[Aggregator] = Catalogue(
    "rule", __package__, "Aggregator", first=PAPER, pipelines=PIPELINES, wrap=_load, registered_as="aggregator"
)
"""All rules by name."""
MIXINGS: Catalogue[Mixing] = Catalogue("mixing", __package__, "Mixing", registered_as="aggregator")
"""All mixings by name."""


def names() -> list[str]:
    """Return the names of all rules that need neither root data nor clients' votes; mixings are not listed."""
    return [key for key, cls in RULES.classes.items() if not cls().needs & {"reference", "losses"}]


def make(name: str | Aggregator | Callable[..., Any], *, preset: str = "paper", arrays: str = "torch") -> Aggregator:
    """Return the rule with this name: `median`, `nnm+rfa`, `bucketing(s=2)+multikrum`, `nnm+package.module:rule`.

    `package.module:rule` is the path of a user's function, object or class. Other installed packages add names by entry
    points of `gradskew.aggregators`. preset: see `gradskew.core.presets`; options in the name override it.
    Raises InputError for an unknown name or option and suggests the nearest one.

    A function of the rows, or an object that is called with them, is wrapped: see `UserRule`. arrays: `torch` or
    `numpy`, the type of its arguments. One that was typed in a notebook stays in this process.

    >>> make("bucketing(s=3)+MultiKrum").name, make("krum").name
    ('bucketing(s=3)+multikrum', 'multikrum(m=1)')
    """
    if not isinstance(name, str):
        from ..core.plugin import wrap_object
        from .base import Aggregator
        from .user import UserRule

        own: Aggregator = wrap_object(UserRule, Aggregator, name, arrays)
        MIXINGS.with_own_key(own)  # one in a pipeline
        return RULES.with_own_key(own)
    *mixings, (last, options) = parse(name)
    check(last not in MIXINGS, f"{last} is a mixing and stands before a rule, as in '{last}+mean'")
    rule = RULES.make(last, options, preset=preset)
    for key, given in reversed(mixings):
        check(key not in RULES, f"{key} is a rule and stands last: only mixings ({', '.join(MIXINGS)}) come before it")
        from .mixing import Mixed

        rule = Mixed(mixing=MIXINGS.make(key, given, preset=preset), rule=rule)
    return rule


MAKERS["Aggregator"] = lambda text, preset: make(text, preset=preset)  # an option takes a pipeline, too
