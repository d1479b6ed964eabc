"""Flatten the spec and the rounds of a run to names and single values, for tables and trackers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from ..core.grammar import with_options
from ..core.names import canonical
from ..skew.statistics import PROJECTED, of_each

Value = bool | int | float | str
SETTINGS = {"attack_name": "attack", "aggregator_name": "rule", "rows": "sent"}  # `rows` is a metric, too
FIRST = ("dataset", "partition", "model", "attack", "rule", "seed")  # in this order; the others as in the spec
DESCRIBED = ("attack", "aggregator")  # entries of the spec whose names say the same
MEASURED = {"f": "measured_f"}  # the f of the measures beside that of the rule


def flat_spec(spec: Mapping[str, Any]) -> dict[str, Value]:
    """Return the settings of a run by name, methods as they are written; those that are None are left out.

    The options of local training (`lr`, `momentum`, ...) are settings of their own.
    """
    flat: dict[str, Any] = {}
    for key, value in spec.items():
        if key == "sgd":
            flat |= {name: option for name, option in value.items() if name != "name"}
        elif key not in DESCRIBED:
            named = isinstance(value, Mapping) and "name" in value
            flat[SETTINGS.get(key, key)] = with_options(value) if named else value
    known = {key: _single(value) for key, value in flat.items() if value is not None}
    return {**{key: known[key] for key in FIRST if key in known}, **known}


def flat_rounds(rounds: Sequence[Any]) -> list[dict[str, Value]]:
    """Return the metrics of each round by name, without those that are undefined, and without lists by client or class.

    `attack_...` and `rule_...` are the notes of the attack and the rule. Of the lens: its numbers, the statistics of
    the honest rows' projections (`skewness`, ...), and the number of honest rows that were shut out.
    """
    return [_flat(*both) for both in zip(rounds, _statistics(rounds), strict=True)]


def _flat(metrics: Any, statistics: Mapping[str, float]) -> dict[str, Value]:
    """Return the metrics of a round by name. statistics: of its projections."""
    flat = {key: value for key, value in metrics.items() if key not in ("attack", "rule", "lens")}
    for kind in ("attack", "rule"):
        flat |= {f"{kind}_{name}": value for name, value in metrics[kind].items()}
    measured = dict((metrics.get("lens") or {}).items())
    if measured.get("shut_out") is not None:
        measured["shut_out"] = len(measured["shut_out"])
    if measured.get("kappa_bound") == "inf":  # JSON has no infinity
        measured["kappa_bound"] = math.inf
    flat |= {MEASURED.get(name, name): value for name, value in measured.items()}
    single = {_column(name): value for name, value in flat.items() if isinstance(value, bool | int | float | str)}
    return {**single, **statistics}


def _statistics(rounds: Sequence[Any]) -> list[dict[str, float]]:
    """Return the finite statistics of the projections of each round by name."""
    found: list[dict[str, float]] = [{} for _ in rounds]
    measured = [
        (of_round, lens) for of_round, metrics in zip(found, rounds, strict=True) if (lens := metrics.get("lens"))
    ]
    for name, (kind, statistic) in PROJECTED.items():
        values = of_each(statistic, [lens[kind] for _, lens in measured])
        for (of_round, _), value in zip(measured, values, strict=True):
            if math.isfinite(value):
                of_round[name] = value
    return found


def _single(value: Any) -> Value:
    """Return a setting as a single value: lists and objects as JSON."""
    return value if isinstance(value, bool | int | float | str) else canonical(value)


@cache
def _column(name: str) -> str:
    """Return the name of a metric as one word: `f of cclip(tau=0.1)` is `f_of_cclip_tau_0_1`."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
