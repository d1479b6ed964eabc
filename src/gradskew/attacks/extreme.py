from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice
from ..core.given import largest_entry
from ..core.rows import Rows
from .answers import Answer
from .base import Attack, Forgery, View
from .steps import as_row
from .trials import Trials


@dataclass(frozen=True, kw_only=True)
class Extreme(Attack):
    """Send the row that is worst for a monotone rule, such as the median: exact, over all that f clients can send.

    Each entry of the aggregate of such a rule rises with every entry of a row. So it lies between its values with all
    Byzantine entries below and above the honest ones, and every optimum has an end of that range in each coordinate.

    objective: `distance` maximises |R - m|, R the aggregate and m the honest mean; `progress` minimises <R, m>, the
    step along m. A rule that follows the forged rows without bound, as the mean does, has no worst case: `unbounded`.

    >>> from gradskew import aggregators
    >>> from gradskew.attacks import Context
    >>> honest = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])
    >>> context = Context(round=0, params=honest[0], rule=aggregators.make("median"), clients=range(5), f=2)
    >>> Extreme().explain(honest, honest[:2], context=context)
    Forgery(rows=tensor([[-10.],
            [-10.]]), notes={'objective': 2.2, 'unbounded': False})
    """

    key: ClassVar[str] = "extreme"
    title: ClassVar[str] = "worst case"
    tries_rule: ClassVar[bool] = True
    monotone_only: ClassVar[bool] = True
    objective: str = "distance"

    def __post_init__(self) -> None:
        check_choice("objective", self.objective, ("distance", "progress"))

    def forge(self, view: View) -> Forgery:
        trials = Trials(view)
        row = extreme_row(view.honest, trials.mean) if self.objective == "progress" else _farthest(trials)
        answer = trials.answer(row)
        objective = trials.distance(answer) if self.objective == "distance" else answer.progress()
        notes = {"objective": float(objective), "unbounded": _follows(trials, row, answer)}
        return Forgery(row.expand(view.f, -1), notes)


def extreme_row(honest: Rows, u: Tensor, share: float = 1.0) -> Tensor:
    """Return the row (d,) for which the aggregate R of a monotone rule has the least <R, u>, for a direction u (d,).

    Its entries lie below the honest ones where u > 0, above where u < 0, by a share of their range, and at their mean
    where u = 0.
    """
    below, above = outside(honest, share)
    return torch.where(u > 0, below, torch.where(u < 0, above, honest.mean()))


def outside(honest: Rows, share: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return a row below and a row above all honest ones, by a share of the range of each column: (d,) each."""
    below, above = honest.updates.new_empty(2, honest.d)
    bound = largest_entry(below.dtype)
    for part, block in honest.blocks():
        least, most = block.aminmax(dim=0)
        beyond = share * (most - least)
        below[part] = torch.minimum((least - beyond).clamp(min=-bound).to(below.dtype), least.to(below.dtype))
        above[part] = torch.maximum((most + beyond).clamp(max=bound).to(above.dtype), most.to(above.dtype))
    return below, above


def _farthest(trials: Trials) -> Tensor:
    """Return the row (d,) whose aggregate is farthest from the honest mean: the farther end in each coordinate."""
    below, above = outside(trials.honest)
    low, high = (trials.answer(row).values[0] for row in (below, above))
    return torch.where(high - trials.mean >= trials.mean - low, above, below)


def _follows(trials: Trials, row: Tensor, answer: Answer) -> bool:
    """Return whether the aggregate, the answer to a row (d,), changes as that moves twice as far from the mean."""
    farther = as_row(2 * row.double() - trials.mean, row)
    return not torch.equal(answer.values, trials.answer(farther).values)
