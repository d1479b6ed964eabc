"""An attack in the rounds of a Flower training: what it is told, and what its clients send."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..aggregators.informed import Informed, with_own
from ..attacks import Attack, Context, Forgery
from ..core.errors import InputError, check
from ..core.given import finite_rows
from ..core.randomness import generator
from ..core.round import Round
from ..core.rows import Rows
from .interface import Array, Strategy, log
from .measure import Scene
from .robust import Robust
from .rows import Layout


def check_attack(attack: Attack, strategy: Strategy) -> None:
    """Raise InputError if the attack needs what a server, or this strategy, does not have."""
    acts = attack.acts_in_training
    check(not acts, f"{attack.name} acts in the clients' training: a server has no part in it")
    if isinstance(strategy, Robust):
        attack.check_rule(strategy.rule)
    else:
        name = type(strategy).__name__
        asks = f"{attack.name} tries out the server's rule: put {name} into Robust, with a rule of ours"
        check(not attack.tries_rule, asks)
    data = f"{attack.name} needs the clients' inputs, which a server has not: use aim=stop or undo"
    check(not attack.needs_inputs, data)
    attack.check_setting("flower")


@dataclass
class Forger:
    """One attack in one training. rounds: those of the attack, counted from 0. known: `honest` or `own`, as in a run.

    models: the first model of the training and that of the last round, (d,) each; empty before the first round.
    """

    attack: Attack
    rounds: Container[int]
    known: str
    seed: int
    models: tuple[Tensor, ...] = ()

    def forge(
        self, scene: Scene, layout: Layout, strategy: Strategy
    ) -> tuple[Forgery | None, list[dict[str, Array]], str]:
        """Replace the Byzantine rows by forged ones. Returns the forgery, the arrays of each row, why there is none."""
        forgery, forged, why = self._forge(scene, layout, strategy)
        self.models = (*self.models[:1], layout.params())
        return forgery, forged, why

    def _forge(
        self, scene: Scene, layout: Layout, strategy: Strategy
    ) -> tuple[Forgery | None, list[dict[str, Array]], str]:
        if self.attack.key == "none":
            return None, [], ""
        n, byzantine = len(scene.rows), scene.byzantine
        if scene.number - 1 not in self.rounds:
            return None, [], "it is no round of the attack"
        own, known, clients = Rows(scene.rows[:byzantine]), scene.honest, scene.nodes[byzantine:]
        if self.known == "own":
            known = own = Rows(own.updates.clone())
            clients = scene.nodes[:byzantine]
        if not byzantine or (not known.n and self.attack.needs == "honest"):
            return None, [], f"{byzantine} of {n} usable replies are of Byzantine clients"
        try:
            round = layout.round(scene.number, scene.nodes)
            self.attack.observe(known.updates, clients=clients, round=round)
            context = self._context(scene, round, clients, strategy)
            rng = generator(self.seed, "attack", scene.number)
            forgery = self.attack.explain(known, own, n=n, generator=rng, context=context)
            check(bool(finite_rows(forgery.rows).all()), f"{self.attack.name} gave rows that are not finite")
            equal = forgery.rows.stride(0) == 0
            forged = [layout.forged(row) for row in forgery.rows[: 1 if equal else byzantine]]
        except Exception as error:  # a user's own attack may fail in any way: the training goes on
            log.warning("RedTeam: round %d goes on without the attack: %s", scene.number, error)
            return None, [], str(error)
        scene.rows[:byzantine] = forgery.rows
        return forgery, forged * byzantine if equal else forged, ""

    def _context(self, scene: Scene, round: Round, clients: Sequence[int], strategy: Strategy) -> Context:
        """Return what the attack knows of a round."""
        assert round.params is not None
        n, rule, f = len(scene.rows), _no_rule, scene.byzantine
        if isinstance(strategy, Robust):
            own = self.known == "own"
            places = range(n - scene.byzantine if own else scene.byzantine, n)
            tried = with_own(round, scene.byzantine) if own else round
            rule = Informed(rule=copy.deepcopy(strategy.rule), round=tried, known=places)
            f = min(strategy.assumed_f(n), rule.max_f(n))
        return Context(
            round=round.number,
            params=round.params,
            rule=rule,
            clients=clients,
            f=f,
            previous=self.models[-1] if self.models else None,
            byzantine=scene.nodes[: scene.byzantine],
            initial=self.models[0] if self.models else round.params,
        )


def _no_rule(*_: Any, **__: Any) -> Tensor:
    raise InputError("an attack cannot try out a Flower strategy")
