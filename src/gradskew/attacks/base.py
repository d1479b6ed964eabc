"""The abstraction of an attack, and the large family in which all Byzantine clients send one row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core.errors import check, check_number
from ..core.rows import Rows, check_rows
from ..core.state import Stateful


@dataclass(frozen=True)
class Context:
    """What an attack may look at, read-only, beside the rows.

    round: counted from 0. params: the model w^t (d,). rule: the server's rule, to try out as often as it likes.
    clients: the ids of the known honest rows, in their order. f: what the rule will be told.
    """

    round: int
    params: Tensor
    rule: Callable[..., Tensor]
    clients: Sequence[int]
    f: int


@dataclass(frozen=True)
class Forgery:
    """What an attack sends: rows (f, d), and notes that a record wants to know, such as its strength.

    geometry: the honest rows with what the attack computed on them, for who measures them next; None if it kept none.
    """

    rows: Tensor
    notes: Mapping[str, Any] = field(default_factory=dict)
    geometry: Rows | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Attack(Stateful, ABC):
    """Forges what the Byzantine clients send."""

    def relabel(self, labels: Tensor, num_classes: int) -> Tensor:
        """The labels on which the Byzantine clients train."""
        return labels

    def observe(self, honest: Tensor, *, clients: Sequence[int] | None = None) -> None:
        """Once a round, before the call: the known honest rows and their clients. Only this advances the state."""

    def extra_rows(self, f: int) -> int:
        """How many rows' worth of float32 a call and the state take, for the estimate of memory: f, the rows sent."""
        return f

    def begin(self, seed: int) -> None:
        """Once, before the first round: the run's seed, for an attack whose start is drawn."""

    def __init_subclass__(cls) -> None:
        """Whoever overrides the call alone has it played: `explain` then goes through it again."""
        super().__init_subclass__()
        if "__call__" in vars(cls) and "explain" not in vars(cls):
            cls.explain = Attack.explain  # type: ignore[method-assign]

    @abstractmethod
    def __call__(
        self,
        honest: Tensor,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """The forged rows (f, d).

        honest (h, d): the honest rows that the attacker knows. own (f, d): what the Byzantine clients' training gave.
        n: clients in the round, if the attacker knows only some of the honest; None means h + f.
        """

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        """Return a sentence if, by its notes of all rounds, it changed nothing; else an empty text."""
        return ""

    def explain(
        self,
        honest: Tensor,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Forgery:
        """The same rows, with notes."""
        return Forgery(self(honest, own, n=n, generator=generator, context=context))


class Collusion(Attack):
    """All Byzantine clients send the same row, made from the honest ones alone."""

    def extra_rows(self, f: int) -> int:
        """The one row, and a few vectors on the way to it."""
        return 4

    @abstractmethod
    def forge(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        """The row (d,) and notes; f Byzantine rows among n, of which `honest` holds the known honest ones."""

    def explain(
        self,
        honest: Tensor,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Forgery:
        n = check_both(honest, own, n)
        rows = Rows(honest.detach())
        row, notes = self.forge(rows, len(own), n)
        return Forgery(row.expand(len(own), -1), notes, rows)

    def __call__(
        self,
        honest: Tensor,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """The forged rows: one row expanded (f, d), read-only."""
        return Collusion.explain(self, honest, own, n=n).rows


def check_both(honest: Tensor, own: Tensor, n: int | None) -> int:
    """Check the rows that an attack is given; returns n, the clients in the round."""
    check_rows("honest", honest)
    check_rows("own", own)
    check(honest.shape[1] == own.shape[1], f"honest has {honest.shape[1]} columns, own has {own.shape[1]}")
    kinds = [str(rows.dtype).removeprefix("torch.") for rows in (honest, own)]
    check(kinds[0] == kinds[1], f"honest is {kinds[0]}, own is {kinds[1]}: both must be of one type")
    known = len(honest) + len(own)
    if n is None:
        return known
    check_number("n", n, at_least=known, whole=True)
    return n
