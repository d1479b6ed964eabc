"""The rule that an attack tries: with how many forged rows, told which f, and what of the round it is asked with."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..aggregators import Aggregator
from ..aggregators.informed import Informed
from ..core.round import Round
from .base import View


def scaled_f(view: View, rule: Aggregator, told: int) -> tuple[int, int]:
    """Return how many forged rows a try has, f', and the f that the rule is told with them.

    told: what the server tells it. With all n - f honest rows known: as many as there are Byzantine clients, and told.
    With h of them f' = max(1, round(h f / (n - f))), so that their share stays that of the round; with own rows in
    place of the honest ones f' = max(1, floor(f^2 / n)). Then the rule is told f', or the most that it tolerates.
    """
    n, f, h = view.n, view.f, view.honest.n
    if view.knows_all:
        return f, told
    tried = max(1, f * f // n if view.knows_own_only else round(h * f / (n - f)))
    return tried, min(tried, rule.max_f(h + tried))


def known_rule(rule: Aggregator, size: int) -> tuple[Aggregator, Round | None]:
    """Return an `Informed` rule as its rule and the round of `size` forged rows and the known ones; others as given."""
    if isinstance(rule, Informed):
        return rule.rule, rule.round_of(size + len(rule.known))
    return rule, None


def vectors_of(rule: Aggregator) -> Sequence[Tensor]:
    """Return the vectors (d,) besides the rows that a rule's aggregate may depend on: its state, what it needs."""
    rule, round = known_rule(rule, 0)
    (round or Round()).check_has(rule.needs, rule.name)
    given = [getattr(round, name) for name in ("params", "reference") if name in rule.needs]
    return [*rule.vectors(), *given]
