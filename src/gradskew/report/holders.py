"""Which clients hold the inputs of each class, and the classes that no rule can defend: those that few clients hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..runs.record import Record
from ..skew.heterogeneity import holders

MOST = 0.9  # of the inputs of a class: those who have so many hold the class
LISTED = 12  # classes of a sentence that are named


@dataclass(frozen=True)
class Deal:
    """The training inputs of the clients in the runs of one seed.

    counts: of each class, for each client. byzantine: how many clients are Byzantine, the first ones.
    """

    seed: int
    counts: Sequence[Sequence[int]]
    byzantine: int

    @property
    def f(self) -> int:
        """The number of Byzantine clients; where there is none, a fifth of the clients is supposed."""
        return self.byzantine or len(self.counts) // 5

    @property
    def honest(self) -> Sequence[Sequence[int]]:
        """The class counts of the honest clients."""
        return self.counts[self.byzantine :]

    @cached_property
    def half(self) -> list[int]:
        """Of each class how many honest clients hold half of the inputs that honest clients have, at least."""
        return holders(self.honest, 0.5)

    @cached_property
    def most(self) -> list[int]:
        """The same of 90 % of the inputs."""
        return holders(self.honest, MOST)

    @property
    def few(self) -> list[int]:
        """The classes of which at most f honest clients hold 90 %."""
        return [label for label in self.held if self.most[label] <= self.f]

    @property
    def held(self) -> list[int]:
        """The classes of which a client has an input."""
        return [label for label, counts in enumerate(zip(*self.counts, strict=True)) if any(counts)]


def deals(records: Iterable[Record]) -> list[Deal]:
    """Return the deal of each seed, in the order of the seeds; none for records without class counts."""
    by_seed: dict[int, Deal] = {}
    for record in records:
        if record.class_counts and "loss" not in record.spec:  # other losses have no classes
            seed = record.spec["seed"]
            by_seed.setdefault(seed, Deal(seed, record.class_counts, record.spec["byzantine"]))
    return [by_seed[seed] for seed in sorted(by_seed)]


def held_by_few(of_seeds: Sequence[Deal]) -> str:
    """Return a sentence on the classes that at most f clients hold, of which no rule can promise much; "" for no deal.

    If the clients that hold a class are at most f, then "they are honest, and f others lie" and "they lie" give the
    same rows: a rule that treats clients alike is wrong in one of the two.
    """
    if not of_seeds:
        return ""
    f = " or ".join(map(str, sorted({deal.f for deal in of_seeds})))
    most, half = ([getattr(deal, name)[i] for deal in of_seeds for i in deal.held] for name in ("most", "half"))
    few, total = sum(len(deal.few) for deal in of_seeds), len(most)
    ranges = f"90 % of a class are held by {_range(most)} honest clients, half by {_range(half)}"
    if not few:
        return f"Classes that at most f = {f} clients hold: none ({ranges})."
    which = _listed(of_seeds[0].few) if len(of_seeds) == 1 else f"{few} of {total} in {len(of_seeds)} seeds"
    promise = "no rule that treats clients alike can promise more than about half of these"
    return f"Classes that at most f = {f} clients hold: {which} ({ranges}); {promise}."


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _listed(labels: Sequence[int]) -> str:
    names = ", ".join(map(str, labels[:LISTED]))
    return names if len(labels) <= LISTED else f"{names} and {len(labels) - LISTED} more"
