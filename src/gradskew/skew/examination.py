"""A matrix of a user's own updates: its skew, and what attacks would do to rules on it. Nothing is trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator
from ..attacks import Attack, NoAttack
from ..core.errors import check, check_number
from ..core.randomness import generator
from ..core.rows import Rows, check_rows, finite_rows
from .embedding import Picture, pictures
from .matrices import kept, with_front
from .measures import Skew, measure
from .per_round import look
from .references import MEASURES


@dataclass(frozen=True)
class Trial:
    """What one rule made of the rows under one attack, with one seed for what either draws.

    rows, byzantine: in the matrix that the rule was given; f: what it was told. shut_out: indices of honest rows among
    the honest. The other numbers are those of a record: see `gradskew.skew.look`.
    """

    attack: str
    aggregator: str
    seed: int
    rows: int
    byzantine: int
    f: int
    kappa: float | None
    kappa_bound: float | str | None
    distance: float | None
    byzantine_share: float | None
    selected: float | None
    shut_out: list[int] | None


@dataclass(frozen=True)
class Examination:
    """All that was found on a matrix of updates.

    rows: how many there were; left_out: the indices of those with a non-finite entry. f: Byzantine rows; replace:
    whether they are the first of the rows, or come in front of all. skew: of the honest rows. pictures: of them, for
    each attack and method.
    """

    rows: int
    columns: int
    left_out: Sequence[int]
    f: int
    replace: bool
    skew: Skew
    trials: Sequence[Trial]
    pictures: Sequence[tuple[str, Picture]]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, with the 95 % interval of each number that has one, but without pictures."""
        estimates = {measure.key: self.skew.estimate(measure.key) for measure in MEASURES}
        numbers = {key: None if made is None else asdict(made) for key, made in estimates.items()}
        matrix = {"rows": self.rows, "columns": self.columns, "left_out": list(self.left_out)}
        matrix |= {"f": self.f, "replace": self.replace, "skewed": list(self.skew.members)}
        return {
            **matrix,
            "skew": {**self.skew.to_json(), **numbers},
            "trials": [asdict(trial) for trial in self.trials],
        }


def examine(
    rows: Tensor,
    attacks: Sequence[Attack] = (),
    rules: Sequence[Aggregator] = (),
    f: int | None = None,
    *,
    replace: bool = False,
    seeds: Sequence[int] = (0,),
) -> Examination:
    """The skew of rows (n, d), float32 or float64, and what each attack would do to each rule on them.

    f: how many rows are Byzantine; floor(n / 5) if nothing is said. replace: the first f rows are the attacker's own,
    to be replaced by what it sends; else all rows are honest, and f forged ones come in front. Rows with a non-finite
    entry are left out, as a server would. Each rule is also tried without an attack. A rule is told f, or as much of it
    as it tolerates. Raises InputError for an attack that needs training (labelflip), or rows of its own.
    """
    good = isinstance(rows, Tensor) and rows.ndim == 2 and rows.dtype in (torch.float32, torch.float64)
    check(good, "rows must be a matrix (n, d) of float32 or float64")
    rows, total = rows.detach(), len(rows)
    finite = finite_rows(rows).cpu()
    left_out = (~finite).nonzero()[:, 0].tolist()
    check(len(left_out) < total, f"all {total} rows have an entry that is not finite")
    rows = kept(rows, finite) if left_out else rows
    check_rows("rows", rows)
    n = len(rows)
    f = n // 5 if f is None else f
    sent = [attack for attack in attacks if attack.key != NoAttack.key]
    check_number("f", f, at_least=0, at_most=n if sent and not replace else n - 1, whole=True)
    for attack in sent:
        check(not attack.relabels(), f"{attack.name} needs training, which a matrix has not: see `gradskew bench`")
        own = replace or attack.needs != "own"
        check(own, f"{attack.name} changes the attacker's own rows: with replace the first f rows are these")
    honest = rows[f:] if replace else rows
    skew = measure(honest, f, n=n if replace or not sent else n + f)
    trials: list[Trial] = []
    drawn: list[tuple[str, Picture]] = []
    for attack in [NoAttack(), *(sent if f else ())]:
        for seed in seeds:
            updates, others = _forged(attack, rows, f, replace, seed)
            results = [_trial(attack.name, rule, updates, others, f, seed) for rule in rules]
            trials += [trial for trial, _ in results]
            if seed == seeds[0]:
                aggregate = results[0][1] if results else None
                shown = pictures(0, updates, updates.n - others.n, skew.members, aggregate)
                drawn += [(attack.name, picture) for picture in shown]
    return Examination(total, rows.shape[1], left_out, f, replace, skew, trials, drawn)


def _forged(attack: Attack, rows: Tensor, f: int, replace: bool, seed: int) -> tuple[Rows, Rows]:
    """Return the rows that the server gets, Byzantine ones first, and the honest ones among them."""
    honest = Rows(rows[f:] if replace else rows)
    if attack.key == NoAttack.key:
        return Rows(rows), honest
    own = rows[:f] if replace else rows[:1].expand(f, -1)  # not read: `examine` has checked that
    attack = copy.deepcopy(attack)
    attack.reset()
    attack.begin(seed)
    attack.observe(honest.updates)
    forgery = attack.explain(honest, own, generator=generator(seed, "attack", 0))
    check_rows(f"what {attack.name} sends", forgery.rows)
    return Rows(with_front(forgery.rows, honest.updates)), honest


def _trial(attack: str, rule: Aggregator, rows: Rows, honest: Rows, f: int, seed: int) -> tuple[Trial, Tensor | None]:
    """Return what the rule makes of the rows, and its aggregate."""
    n, byzantine, told = rows.n, rows.n - honest.n, min(f, rule.max_f(rows.n))
    outcome = rule.explain(rows, told, generator=generator(seed, "rule", 0))
    mean = honest.combine(torch.full((honest.n,), 1 / honest.n, dtype=torch.float64))
    good = bool(outcome.value.isfinite().all())
    distance = float(torch.linalg.vector_norm(outcome.value.double() - mean.double())) if good else None
    bound = rule.kappa_bound(n, told) if told == byzantine else None
    _, seen = look(rows, honest, range(n), outcome, distance=distance, bound=bound)
    shut_out = None if seen["shut_out"] is None else [i - byzantine for i in seen["shut_out"]]
    trial = Trial(
        attack=attack,
        aggregator=rule.name,
        seed=seed,
        rows=n,
        byzantine=byzantine,
        f=told,
        kappa=seen["kappa"],
        kappa_bound=seen["kappa_bound"],
        distance=distance,
        byzantine_share=outcome.share(byzantine) if byzantine else None,
        selected=seen["selected"],
        shut_out=shut_out,
    )
    return trial, outcome.value if good else None
