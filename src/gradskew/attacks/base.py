"""Base classes of attacks: `Attack`, and `Collusion`, in which all Byzantine clients send the same row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from ..core.calling import takes
from ..core.errors import InputError, check, check_number, raised_by
from ..core.given import apart, as_generator, as_kind, check_matrix, version
from ..core.method import Method
from ..core.round import Round
from ..core.rows import Given, Rows

Scores = Callable[[], Tensor] | None


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an attack knows besides the rows, read-only.

    round: counted from 0. params: the model w^t (d,). rule: a copy of the server's rule, an `Aggregator`, for any
    number of trials. clients: the ids of the known honest rows, in order. f: the f that the server will call the rule
    with. previous: the model w^{t-1}, None in the first round. byzantine: the ids of the Byzantine clients in the
    round. classes: the number of classes. initial: the model w^0. gradient: the gradient (d,) of the loss at parameters
    (d,), on inputs of the known honest clients (`all`) or of the Byzantine ones (`own`); None where there are no data.
    network: the parameters (d,) of another new network of the run, always the same; None where no network is at hand.
    rate: what the server multiplies an aggregate by, as in `Round`.
    """

    round: int
    params: Tensor
    rule: Any
    clients: Sequence[int]
    f: int
    previous: Tensor | None = None
    byzantine: Sequence[int] = ()
    classes: int | None = None
    initial: Tensor | None = None
    gradient: Callable[[Tensor, str], Tensor] | None = None
    network: Callable[[], Tensor] | None = None
    rate: float = 1.0


@dataclass(frozen=True)
class View:
    """The checked arguments of `forge`.

    honest: the honest rows that the attacker knows (h, d), none if `needs` allows it; `own` itself if the own rows
    stand in for them. own: the rows from the Byzantine clients' own training (f, d). n: the number of clients in the
    round: at least h + f, or f if the own rows stand in. context: None if the caller gives none.
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

    @property
    def knows_own_only(self) -> bool:
        """Whether the own rows stand in for the honest ones, of which the attacker knows none."""
        return self.honest is self.own

    @property
    def knows_all(self) -> bool:
        """Whether the attacker knows every honest row of the round."""
        return not self.knows_own_only and self.honest.n == self.n - self.f


@dataclass(frozen=True)
class Forgery:
    """The result of an attack: forged rows (f, d), and notes for the record, such as its strength."""

    rows: Tensor
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Attack(Method):
    """Forge the rows of the Byzantine clients. A subclass implements `forge`, and `relabel` if it poisons training.

    needs: the rows that `forge` reads: `honest` (known honest rows), `own` (the Byzantine clients' own) or `nothing`.
    Without a known honest row only an attack that needs one is not called. tries_rule: whether `forge` calls the
    server's rule, so that it needs a context. monotone_only: whether it takes monotone rules only. needs_inputs:
    whether it needs `Context.gradient`, which a simulation has, and a matrix or Flower has not. needs_models:
    whether it needs the models of the rounds, which a matrix has not. gradient_scale: what the Byzantine clients
    multiply their clipped gradients by in training; -1 is gradient ascent. target_pair: classes whose confusion a test
    counts. limited_by: the option that bounds `calls`.
    """

    implements: ClassVar[str] = "forge"
    needs: ClassVar[str] = "honest"
    tries_rule: ClassVar[bool] = False
    monotone_only: ClassVar[bool] = False
    needs_inputs: ClassVar[bool] = False
    needs_models: ClassVar[bool] = False
    gradient_scale: ClassVar[float] = 1.0
    limited_by: ClassVar[str] = ""

    def relabel(
        self, labels: Tensor, num_classes: int, *, generator: torch.Generator | None = None, scores: Scores = None
    ) -> Tensor:
        """Return the labels (examples,) on which a Byzantine client trains in a round, from the true ones.

        generator: the same draws for the client in each round. scores: of w^t on its inputs (examples, classes).
        """
        return labels

    @property
    def reads_own(self) -> bool:
        """Return whether `forge` reads entries of the own rows, maybe beside honest ones; a matrix may lack them."""
        return self.needs == "own"

    @classmethod
    def relabels(cls) -> bool:
        """Return whether the attack changes the labels in training."""
        return cls.relabel is not Attack.relabel

    @property
    def target_pair(self) -> tuple[int, int] | None:
        """Return a class and the one that its test inputs are to be taken for; None if the attack aims at no pair."""
        return None

    @final
    def checked_pair(self, classes: int) -> tuple[int, int] | None:
        """Return `target_pair`; InputError if it is no pair of classes below this number."""
        pair = self.target_pair
        good = pair is None or (type(pair) is tuple and len(pair) == 2 and all(each in range(classes) for each in pair))
        check(good, f"target_pair of {self.name} is two classes below {classes}, not {pair!r:.60}")
        return pair

    @property
    def acts_in_training(self) -> bool:
        """Whether the attack changes the training of its clients, so that it cannot run on given rows alone."""
        return self.relabels() or self.gradient_scale != 1

    def check_rule(self, rule: Any) -> None:
        """Raise InputError unless the attack can be played against this rule."""
        if self.monotone_only and not rule.monotone:
            from ..aggregators import RULES

            known = ", ".join(key for key, cls in RULES.classes.items() if cls.monotone is True)
            raise InputError(f"{self.name} takes rules that are monotone in every entry ({known}), not {rule.name}")

    def check_setting(self, place: str, *, honest: int | None = None, classes: int | None = None) -> None:
        """Raise InputError unless the attack can be played in a place: `simulation`, `matrix` or `flower`.

        honest: how many honest clients, or rows of a matrix, it knows. classes: of the data. None: not known yet.
        """
        models = f"{self.name} needs the models of the rounds, which a matrix has not"
        check(place != "matrix" or not self.needs_models, models)

    def observe(self, honest: Given, *, clients: Sequence[int] | None = None, round: Round | None = None) -> None:
        """Update the state with the known honest rows (h, d), maybe none, their ids and the round, before each call."""

    def __init_subclass__(cls) -> None:
        """Let `observe` and `relabel` with fewer arguments, as in earlier versions, be called with all."""
        super().__init_subclass__()
        observe, relabel = vars(cls).get("observe"), vars(cls).get("relabel")
        if observe is not None and not takes(observe, "round"):
            cls.observe = lambda self, honest, *, clients=None, round=None: observe(self, honest, clients=clients)  # type: ignore[method-assign]
        if relabel is not None and not takes(relabel, "generator"):
            cls.relabel = lambda self, labels, num_classes, **_: relabel(self, labels, num_classes)  # type: ignore[method-assign]

    def calls(self, rule: Any, *, draws: bool = False) -> int:
        """Return about how often the attack calls a rule in a round, try by try. draws: whether the rule draws."""
        return 0

    def extra_rows(self, f: int) -> int:
        """Return the memory of its state, copies of that and long vectors, in float32 rows (d,), for f clients."""
        return 0

    def begin(self, seed: int) -> None:
        """Set the run's seed before the first round, for an attack with a random start."""

    @final
    def __call__(
        self,
        honest: Given,
        own: Given,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Any:
        """Return the forged rows (f, d), not in the memory of the given ones. See `explain`."""
        rows = self.explain(honest, own, n=n, generator=generator, context=context).rows
        return apart(rows, *(each.updates if isinstance(each, Rows) else each for each in (honest, own)))

    @final
    @raised_by("attack")
    def explain(
        self,
        honest: Given,
        own: Given,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Forgery:
        """Return the forged rows (f, d) and notes. The rows are read-only: they may be given ones, or one expanded row.

        honest: the honest rows that the attacker knows (h, d). own: the rows from the Byzantine clients' own training
        (f, d), of the same type, float16 to float64; of torch or of NumPy, as the forged rows are then. The same `Rows`
        twice: the own rows stand in for the honest ones. n: the number of clients in the round; None means h + f.
        generator: for attacks that draw; None means a new CPU generator with seed 0. Raises InputError for rows of a
        wrong shape or type, for non-finite rows among those that the attack needs and its own, without an honest row
        unless `needs` allows it, and if `forge` changes the honest rows or returns another shape.
        """
        rows, others = check_inputs(honest, own, may_be_none=self.needs != "honest")
        others.check("own")
        if self.needs == "honest" and not self.late_check:
            rows.check("honest")
        known = others.n if rows is others else rows.n + others.n
        n = known if n is None else check_number("n", n, at_least=known, whole=True)
        before = version(rows.updates)
        if self.tries_rule:
            has = context is not None and hasattr(context.rule, "explain")
            check(has, f"{self.name} tries out the server's rule: it needs a context with an Aggregator as its rule")
            assert context is not None
            self.check_rule(context.rule)
        view = View(rows, others, n, as_generator(generator), context)
        forgery = self.forge(view)
        if self.needs == "honest":
            rows.check("honest")
        check(version(rows.updates) == before, f"the attack {self.name} changed the honest rows: it must copy them")
        wanted, got = tuple(others.updates.shape), tuple(forgery.rows.shape)
        check(got == wanted, f"the attack {self.name} gave rows of shape {got}, not {wanted}")
        return replace(forgery, rows=as_kind(forgery.rows, own, keep_type=True))

    @abstractmethod
    def forge(self, view: View) -> Forgery:
        """Return the forged rows (f, d) and notes for checked arguments."""


class Collusion(Attack):
    """An attack in which all Byzantine clients send the same row, computed from the known honest rows."""

    @final
    def forge(self, view: View) -> Forgery:
        row, notes = self.row(view.honest, view.f, view.n)
        return Forgery(row.expand(view.f, -1), notes)

    @abstractmethod
    def row(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        """Return the forged row (d,) and notes, from the known honest rows (h, d), for f Byzantine clients of n."""


def check_inputs(honest: Given, own: Given, *, may_be_none: bool = False) -> tuple[Rows, Rows]:
    """Return the rows honest (h, d) and own (f, d); InputError unless they fit together. Entries are not read.

    may_be_none: h may be 0.
    """
    rows, others = Rows.of(honest, name="honest"), Rows.of(own, name="own")
    check(rows.mixing is None and others.mixing is None, "an attack takes rows of clients, not mixtures of them")
    if rows.updates.ndim != 2 or rows.n or not may_be_none:
        check_matrix("honest", rows.updates)
    check_matrix("own", others.updates)
    check(rows.d == others.d, f"honest has {rows.d} columns, own has {others.d}")
    places = [str(each.updates.device) for each in (rows, others)]
    check(places[0] == places[1], f"honest is on {places[0]}, own on {places[1]}: both must be on one device")
    given = [each.updates if isinstance(each, Rows) else each for each in (honest, own)]
    kinds = [str(each.dtype).removeprefix("torch.") for each in given]
    check(kinds[0] == kinds[1], f"honest is {kinds[0]}, own is {kinds[1]}: both must be of one type")
    return rows, others
