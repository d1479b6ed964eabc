"""Grids of runs: every attack against every rule, with every seed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..aggregators import Aggregator
from ..aggregators import make as make_rule
from ..attacks import Attack
from ..attacks import make as make_attack
from ..core.errors import check
from ..federation.run import Run


def grid(
    base: Run,
    *,
    attacks: Iterable[str | Attack | Callable[..., Any]],
    rules: Iterable[str | Aggregator | Callable[..., Any]] | None = None,
    seeds: Iterable[int] = (0,),
    aggregators: Iterable[str | Aggregator | Callable[..., Any]] | None = None,
) -> list[Run]:
    """Return a run for each combination of attack, rule and seed, equal to `base` in all else.

    Attacks and rules are names, objects or functions, as their `make` takes them. aggregators: an alias of `rules`.
    Raises InputError for two functions of one name.
    """
    check((rules is None) != (aggregators is None), "a grid takes rules, once: aggregators is the same")
    rules = aggregators if rules is None else rules
    for name, given in (("attacks", attacks), ("rules", rules)):
        check(isinstance(given, Iterable) and not isinstance(given, str), f"{name} must be a list, not {given!r:.60}")
    numbers = [operator.index(seed) for seed in seeds]
    made_attacks, made_rules = list(map(make_attack, attacks)), list(map(make_rule, rules or ()))
    check_told_apart("attacks", made_attacks)
    check_told_apart("rules", made_rules)
    return [
        replace(base, attack=attack, aggregator=rule, seed=seed)
        for attack in made_attacks
        for rule in made_rules
        for seed in numbers
    ]


def check_told_apart(key: str, methods: Sequence[Attack | Aggregator]) -> None:
    """Raise InputError for two functions of one name, as records and tables tell methods apart by their names."""
    by_name: dict[str, Attack | Aggregator] = {}
    for each in methods:
        message = f"two functions in {key} have one name, {each.name!r}, and cannot be told apart"
        check(by_name.setdefault(each.name, each) == each, f"{message}: give each a name of its own with def")
