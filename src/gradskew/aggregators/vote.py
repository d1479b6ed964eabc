from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_choice
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .consensus import Consensus
from .mean import Mean
from .pair import Pair


@dataclass(frozen=True, kw_only=True)
class Vote(Pair):
    """Take the aggregate of two rules after which the median of the clients' losses falls most.

    The server asks each client j of the round for its loss at the present model and after each of the two steps,
    L_j(w), L_j(w - A_a) and L_j(w - A_b), on its own training data. The gain of a step is the median over the clients
    of L_j(w) - L_j(w - A), the lower one of an even number. The aggregate is that with the larger gain, a's of equal
    ones; 0 if neither gain is positive (stay). A loss that is not finite counts as infinite; between two infinite
    losses the gain is 0. This changes the protocol: each client gets two more models and sends three numbers. The
    simulation does so with `votes=True`; its Byzantine clients know the honest losses and answer so that, of the models
    that they can bring about, the worst one for the honest clients is taken.

    a, b: rules or pipelines, such as a mean of clipped rows and a rule that drops rows. stay: whether the server may
    stay where it is. Notes: `vote` (a, b or stay) and those of the rules, with their letters in front.

    >>> from gradskew.aggregators import Mean, Median
    >>> from gradskew.core.round import Round
    >>> losses = lambda models, clients: models.abs().expand(-1, len(clients))
    >>> round = Round(clients=range(3), params=torch.tensor([1.0]), losses=losses)
    >>> Vote(a=Mean(), b=Median())(torch.tensor([[0.0], [1.0], [5.0]]), f=1, round=round)
    tensor([1.])
    """

    key: ClassVar[str] = "vote"
    title: ClassVar[str] = "vote"
    source: ClassVar[str] = "this project"
    a: Aggregator = field(default_factory=Mean)
    b: Aggregator = field(default_factory=Consensus)
    stay: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("stay", self.stay, (False, True))

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        one, other, notes = self.outcomes(rows, f, generator)
        round = rows.round
        assert round.params is not None
        assert round.clients is not None
        assert round.losses is not None
        params = round.params.double()
        steps = [round.rate * each.value.double() for each in (one, other)]
        models = torch.stack([params, *(params - step for step in steps)]).to(round.params.dtype)
        losses = torch.as_tensor(round.losses(models, round.clients)).double()
        shape = (3, rows.n)
        check(tuple(losses.shape) == shape, f"the losses must have the shape {shape}, not {tuple(losses.shape)}")
        elected = elect(losses, stay=self.stay)
        best = other if elected == 2 else one
        value, parts = best.value, best.parts
        weights = None if one.weights is None or other.weights is None else best.weights
        if elected == 0:
            value, parts = torch.zeros_like(value), None
            weights = None if weights is None else torch.zeros_like(weights)
        return Outcome(value, weights, {"vote": ("stay", "a", "b")[elected], **notes}, parts)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return super().needs | {"clients", "losses", "params"}

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return the larger bound of the two rules; with stay infinity, as 0 may be anywhere; None if none is known."""
        if self.stay:
            return math.inf
        bounds = [rule.kappa_bound(n, f) for rule in self.pair.values()]
        return None if None in bounds else max(bound for bound in bounds if bound is not None)


def elect(losses: Tensor, *, stay: bool) -> int:
    """Return the model that the losses of the clients (k, n) elect: 0 is the present one, and not elected without stay.

    A model's gain is the median over the clients, the lower one of an even number; the present one's is 0. The first of
    equal gains wins. Losses that are not finite count as infinite.
    """
    losses = losses.nan_to_num(nan=math.inf, neginf=math.inf)
    gains = (losses[0] - losses).nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf)
    medians = gains.sort(1).values[:, (gains.shape[1] - 1) // 2].tolist()
    return max(range(0 if stay else 1, len(medians)), key=medians.__getitem__, default=0)
