"""Examine a matrix of a user's own updates: its skew, and the effect of attacks on rules. Nothing is trained."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator
from ..aggregators import make as make_rule
from ..aggregators.informed import Informed
from ..attacks import Attack, Context, NoAttack
from ..attacks import make as make_attack
from ..core.errors import check, check_number, plain
from ..core.given import as_tensor, check_rows, finite_rows
from ..core.randomness import generator
from ..core.round import Round
from ..core.rows import Given, Rows
from .embedding import Picture, pictures
from .matrices import kept, with_front
from .measures import Skew, measure
from .per_round import look
from .references import MEASURES


@dataclass(frozen=True)
class Trial:
    """The result of one rule under one attack, with one seed for the draws of both.

    rows, byzantine: the numbers of all rows and of Byzantine rows of the rule's matrix. f: the f that the rule was
    called with. shut_out: indices among the honest rows. The other numbers are those of a record: see
    `gradskew.skew.look`.
    """

    attack: str
    aggregator: str
    seed: int
    rows: int
    byzantine: int
    f: int
    kappa: float | None
    kappa_bound: float | str | None
    progress: float | None
    distance: float | None
    byzantine_share: float | None
    selected: float | None
    shut_out: list[int] | None


@dataclass(frozen=True)
class Examination:
    """The result of `examine` on a matrix of updates.

    rows, columns: of the matrix as given. left_out: the indices of the rows with a non-finite entry. f: the number of
    Byzantine rows. replace: whether these replace the first rows, or are added in front. skew: of the honest rows.
    pictures: the embeddings of all rows, each with the name of its attack.
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
        """Return a JSON object with the 95 % interval of each measure that has one, and without pictures."""
        estimates = {measure.key: self.skew.estimate(measure.key) for measure in MEASURES}
        numbers = {key: None if made is None else asdict(made) for key, made in estimates.items()}
        ratios = {name: getattr(self.skew, name) for name in ("relative_divergence", "dissimilarity", "unit_mean")}
        matrix = {"rows": self.rows, "columns": self.columns, "left_out": list(self.left_out)}
        matrix |= {"f": self.f, "replace": self.replace, "skewed": list(self.skew.members)}
        return {
            **matrix,
            "skew": {**self.skew.to_json(), **ratios, **numbers},
            "trials": [asdict(trial) for trial in self.trials],
        }


def examine(
    rows: Given,
    attacks: Sequence[str | Attack | Callable[..., Any]] = (),
    rules: Sequence[str | Aggregator | Callable[..., Any]] = (),
    f: int | None = None,
    *,
    replace: bool = False,
    seeds: Sequence[int] = (0,),
) -> Examination:
    """Return the skew of rows (n, d), float32 or float64, and the effect of each attack on each rule.

    Attacks and rules are names, objects or functions. f: the number of Byzantine rows; None means floor(n / 5).
    replace: the first f rows are the attacker's own, and forged rows replace them; else all rows are honest, and f
    forged rows are added in front. Honest rows with a non-finite entry are left out, as a server would. Each rule
    also runs without an attack. A rule is called with f, or with the largest f that it tolerates. Raises InputError
    for an attack that acts in training (labelflip), and without replace for an attack that reads rows of its own.
    """
    rows, seeds = as_tensor("rows", rows).cpu(), [plain(seed) for seed in seeds]
    good = rows.ndim == 2 and rows.dtype in (torch.float32, torch.float64)
    check(good, "rows must be a matrix (n, d) of float32 or float64")
    total = len(rows)
    finite = finite_rows(rows).cpu()
    left_out = (~finite).nonzero()[:, 0].tolist()
    check(len(left_out) < total, f"all {total} rows have an entry that is not finite")
    rows = kept(rows, finite) if left_out else rows
    check_rows("rows", rows)
    n = len(rows)
    f = n // 5 if f is None else plain(f)
    judges = [make_rule(rule) for rule in rules]
    forging = [attack for attack in map(make_attack, attacks) if attack.key != NoAttack.key]
    check_number("f", f, at_least=0, at_most=n if forging and not replace else n - 1, whole=True)
    lost = [row for row in left_out if replace and row < f]
    replaced = f"with replace the first {f} rows are the attacker's own, and {len(lost)} of them have an entry that is"
    check(not lost, f"{replaced} not finite: leave these out of the matrix, and lower f")
    for attack in forging:
        check(
            not attack.acts_in_training, f"{attack.name} needs training, which a matrix has not: see `gradskew bench`"
        )
        own = replace or not attack.reads_own
        check(own, f"{attack.name} needs the attacker's own rows: with replace the first f rows are these")
        attack.check_setting("matrix", honest=n - f if replace else n)
        check(bool(judges) or not attack.tries_rule, f"{attack.name} tries out a rule: name one")
        for rule in judges:
            attack.check_rule(rule)
    honest = rows[f:] if replace else rows
    skew = measure(honest, f, n=n if replace or not forging else n + f)
    trials: list[Trial] = []
    embeddings: list[tuple[str, Picture]] = []
    for attack in [NoAttack(), *(forging if f else ())]:
        for seed in seeds:
            updates, others = _forged(attack, rows, f, replace, seed, judges[0] if judges else None)
            results = []
            for rule in judges:  # an attack that tries the rule sends each its own rows
                other = attack.tries_rule and rule is not judges[0]
                received = _forged(attack, rows, f, replace, seed, rule) if other else (updates, others)
                results.append(_trial(attack.name, rule, *received, f, seed))
            trials += [trial for trial, _ in results]
            if seed == seeds[0]:
                aggregate = results[0][1] if results else None
                shown = pictures(0, updates, updates.n - others.n, skew.members, aggregate)
                embeddings += [(attack.name, picture) for picture in shown]
    return Examination(total, rows.shape[1], left_out, f, replace, skew, trials, embeddings)


def _forged(
    attack: Attack, rows: Tensor, f: int, replace: bool, seed: int, rule: Aggregator | None
) -> tuple[Rows, Rows]:
    """Return all rows that the server receives, Byzantine ones first, and the honest rows. rule: for its trials."""
    honest = Rows(rows[f:] if replace else rows)
    if attack.key == NoAttack.key:
        return _numbered(rows), honest
    own = rows[:f] if replace else rows[:1].expand(f, -1)  # without replace no attack reads them: see `examine`
    attack = copy.deepcopy(attack)
    attack.reset()
    attack.begin(seed)
    attack.observe(honest.updates)
    context = _context(rule, honest, f) if rule is not None and attack.tries_rule else None
    forgery = attack.explain(honest, own, generator=generator(seed, "attack", 0), context=context)
    check_rows(f"what {attack.name} sends", forgery.rows)
    return _numbered(with_front(forgery.rows, honest.updates)), honest


def _context(rule: Aggregator, honest: Rows, f: int) -> Context:
    """Return what an attack that tries the rule knows: there is no model, and clients are numbered as the rows are."""
    n = honest.n + f
    known = Informed(rule=rule, round=Round(clients=range(n)), known=range(f, n))
    zero = honest.updates.new_zeros(honest.d)
    return Context(round=0, params=zero, rule=known, clients=range(f, n), f=min(f, rule.max_f(n)))


def _numbered(rows: Tensor) -> Rows:
    """Return the rows with their numbers as client ids."""
    return Rows(rows, round=Round(clients=range(len(rows))))


def _trial(attack: str, rule: Aggregator, rows: Rows, honest: Rows, f: int, seed: int) -> tuple[Trial, Tensor | None]:
    """Return the trial of a rule on the rows, and its aggregate (d,), or None if that is not finite."""
    n, byzantine, rule_f = rows.n, rows.n - honest.n, min(f, rule.max_f(rows.n))
    outcome = rule.explain(rows, rule_f, generator=generator(seed, "rule", 0))
    mean = honest.once(Rows.mean)
    good = bool(outcome.value.isfinite().all())
    distance = float(torch.linalg.vector_norm(outcome.value.double() - mean.double())) if good else None
    bound = rule.kappa_bound(n, rule_f) if rule_f == byzantine else None
    _, measures = look(rows, honest, range(n), outcome, distance=distance, bound=bound)
    shut_out = None if measures["shut_out"] is None else [i - byzantine for i in measures["shut_out"]]
    trial = Trial(
        attack=attack,
        aggregator=rule.name,
        seed=seed,
        rows=n,
        byzantine=byzantine,
        f=rule_f,
        kappa=measures["kappa"],
        kappa_bound=measures["kappa_bound"],
        progress=measures["progress"],
        distance=distance,
        byzantine_share=outcome.share(byzantine) if byzantine else None,
        selected=measures["selected"],
        shut_out=shut_out,
    )
    return trial, outcome.value if good else None
