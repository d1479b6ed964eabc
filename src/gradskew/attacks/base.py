"""The abstraction of an attack, and the large family in which all Byzantine clients send one row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from ..core.errors import check, check_number, raised_by
from ..core.rows import Rows, check_rows, version
from ..core.state import Stateful


@dataclass(frozen=True, kw_only=True)
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
class View:
    """What `forge` is given, checked.

    honest: the honest rows that the attacker knows (h, d). own: what the Byzantine clients' training gave (f, d). n:
    clients in the round, at least h + f. context: None in a direct call without one.
    """

    honest: Rows
    own: Rows
    n: int
    generator: torch.Generator
    context: Context | None

    @property
    def f(self) -> int:
        """The number of Byzantine rows."""
        return self.own.n


@dataclass(frozen=True)
class Forgery:
    """What an attack sends: rows (f, d), and notes for the record, such as its strength."""

    rows: Tensor
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Attack(Stateful, ABC):
    """Forges what the Byzantine clients send. A subclass writes `forge`, or `relabel` if it attacks the training.

    needs: the rows that it reads, `honest` (those that it knows), `own` (what its clients' training gave) or `nothing`.
    """

    needs: ClassVar[str] = "honest"

    def relabel(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return the labels on which the Byzantine clients train."""
        return labels

    @classmethod
    def relabels(cls) -> bool:
        """Whether the attack acts in the clients' training, which rows alone do not show."""
        return cls.relabel is not Attack.relabel

    def observe(self, honest: Tensor, *, clients: Sequence[int] | None = None) -> None:
        """Learn from the known honest rows (h, d) and their clients, once a round before the call.

        Only this advances the state.
        """

    def begin(self, seed: int) -> None:
        """Take the run's seed before the first round, for an attack whose start is drawn."""

    def __init_subclass__(cls) -> None:
        """Refuse a subclass that overrides the call: the checks would not hold for it."""
        super().__init_subclass__()
        for name in ("__call__", "explain"):
            if name in vars(cls):
                raise TypeError(f"{cls.__qualname__} must override forge, not {name}")

    @final
    def __call__(
        self,
        honest: Tensor | Rows,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """Return the forged rows (f, d). See `explain`."""
        return self.explain(honest, own, n=n, generator=generator, context=context).rows

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        """Return a sentence if, by its notes of all rounds, it changed nothing; else an empty text."""
        return ""

    @final
    @raised_by("attack")
    def explain(
        self,
        honest: Tensor | Rows,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Forgery:
        """Return the forged rows with notes; equal rows may be one row expanded, read-only.

        honest (h, d): the honest rows that the attacker knows. own (f, d): what the Byzantine clients' training gave.
        n: clients in the round, if the attacker knows only some of the honest; None means h + f. generator: for attacks
        that draw; None means a fresh CPU generator with seed 0. Raises InputError for rows of a wrong shape or type,
        for rows that are not finite, and if `forge` changes the honest rows or returns another shape.
        """
        n = check_both(honest.updates if isinstance(honest, Rows) else honest, own, n)
        rows = Rows.of(honest)
        before = version(rows.updates)
        view = View(rows, Rows.of(own), n, generator or torch.Generator().manual_seed(0), context)
        forgery = self.forge(view)
        check(version(rows.updates) == before, f"the attack {self.name} changed the honest rows: it must copy them")
        wanted, got = tuple(own.shape), tuple(forgery.rows.shape)
        check(got == wanted, f"the attack {self.name} gave rows of shape {got}, not {wanted}")
        return forgery

    @abstractmethod
    def forge(self, view: View) -> Forgery:
        """Return what the Byzantine clients send, from checked arguments."""


class Collusion(Attack):
    """All Byzantine clients send the same row, made from the honest ones alone."""

    @final
    def forge(self, view: View) -> Forgery:
        row, notes = self.row(view.honest, view.f, view.n)
        return Forgery(row.expand(view.f, -1), notes)

    @abstractmethod
    def row(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        """Return the row (d,) and notes; f Byzantine rows among n; `honest` holds the known honest rows."""


def check_both(honest: Tensor, own: Tensor, n: int | None) -> int:
    """Check the rows that an attack is given; return n, the clients in the round."""
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
