"""The attack in the round loop: when it runs, which rows it knows, and the Byzantine rows that it replaces."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..aggregators import Aggregator
from ..aggregators.informed import Informed, with_own
from ..attacks import Context, Forgery
from ..core.errors import ceil_share
from ..core.randomness import generator
from ..core.round import Round
from ..core.rows import Rows
from .rows_in_place import move_to_front
from .run import Run
from .schedule import rounds_of


class Attacker:
    """An attack with its state.

    known: (clients,) bool, the honest clients that it knows, drawn once per run. rounds: those in which it runs.
    initial, previous, gradient, network: as in `Context`, set by the owner of the model.
    """

    def __init__(self, run: Run):
        self.run, self.attack, self.rounds = run, copy.deepcopy(run.attack), rounds_of(run.attack_rounds)
        self.initial: Tensor | None = None
        self.previous: Tensor | None = None
        self.gradient: Callable[[Tensor, str], Tensor] | None = None
        self.network: Callable[[], Tensor] | None = None
        self.attack.reset()
        self.attack.begin(run.seed)
        honest = run.clients - run.num_byzantine
        order = torch.randperm(honest, generator=generator(run.seed, "knowledge"))
        self.known = torch.zeros(run.clients, dtype=torch.bool)
        self.known[order[: ceil_share(run.knowledge, honest)] + run.num_byzantine] = True

    def acts(self, round: int) -> bool:
        """Return whether the Byzantine clients do anything else than honest ones in a round."""
        return self.attack.key != "none" and round in self.rounds

    def forge(self, updates: Tensor, honest: Rows, round: Round, rule: Aggregator, f: int) -> Forgery | None:
        """Replace the Byzantine rows, the first of updates (n, d), by forged ones, and return the forgery.

        honest: the rows after them. f: the f that the server will call the rule with. The attack is not called outside
        its rounds, without a Byzantine row, and, if it needs one, without a known honest row: returns None and leaves
        the rows unchanged.
        """
        assert round.clients is not None
        byzantine = len(updates) - honest.n
        if not byzantine or round.number not in self.rounds:
            return None
        if self.run.known == "own":
            own = Rows(updates[:byzantine].clone(), finite=True)
            return self._replace(updates, own, own, round.clients[:byzantine], round, rule, f)
        present = torch.tensor(round.clients[byzantine:], dtype=torch.int64)
        known = self._known(present, round.number)
        if not known and self.attack.needs == "honest":
            return None
        with move_to_front(honest.updates, known):
            rows = honest if len(known) == honest.n else Rows(honest.updates[: len(known)], finite=True)
            own = Rows(updates[:byzantine], finite=True)
            return self._replace(updates, rows, own, present[known].tolist(), round, rule, f)

    def inputs(self, parts: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the indices of the inputs that the attacker knows, from those of each client, as `data` names them.

        `own`: of the Byzantine clients. `all`: of the honest clients that it knows; of all honest clients if it knows
        others in each round; of its own if it takes its own rows for honest.
        """
        byzantine = self.run.num_byzantine
        known = self.known.clone()
        if self.run.redraw_knowledge:
            known[byzantine:] = True
        own = torch.cat([torch.empty(0, dtype=torch.int64), *parts[:byzantine]])
        honest = [part for part, good in zip(parts, known.tolist(), strict=True) if good]
        if self.run.known == "own" or not honest:
            return {"own": own, "all": own}
        return {"own": own, "all": torch.cat(honest)}

    def relabel(
        self, labels: Tensor, num_classes: int, round: int, client: int, scores: Callable[[], Tensor]
    ) -> Tensor:
        """Return the labels (examples,) on which a Byzantine client trains in a round.

        scores: of the model of the round on the client's inputs (examples, classes).
        """
        if round not in self.rounds:
            return labels
        rng = generator(self.run.seed, "labels", client)
        return self.attack.relabel(labels, num_classes, generator=rng, scores=scores)

    def scale(self, round: int) -> float:
        """Return what a Byzantine client multiplies its gradients by in a round."""
        return self.attack.gradient_scale if round in self.rounds else 1.0

    def _replace(
        self, updates: Tensor, known: Rows, own: Rows, clients: Sequence[int], round: Round, rule: Aggregator, f: int
    ) -> Forgery:
        """Replace the first rows of updates (n, d) by forged ones; return these. clients: the ids of the known rows."""
        self.attack.observe(known.updates, clients=clients, round=replace(round, reference=None))
        assert round.params is not None
        assert round.clients is not None
        n = len(updates)
        if known is own:  # they stand for the last rows
            tried = _copy_rule(rule, known, range(n - own.n, n), with_own(round, own.n))
        else:
            tried = _copy_rule(rule, known, [round.clients.index(client) for client in clients], round)
        context = Context(
            round=round.number,
            params=round.params,
            rule=tried,
            clients=list(clients),
            f=f,
            previous=self.previous,
            byzantine=round.clients[: own.n],
            classes=self.run.source.load().num_classes,
            initial=self.initial,
            gradient=self.gradient,
            network=self.network,
            rate=round.rate,
        )
        rng = generator(self.run.seed, "attack", round.number)
        forgery = self.attack.explain(known, own, n=n, generator=rng, context=context)
        updates[: own.n] = forgery.rows
        return forgery

    def _known(self, present: Tensor, round: int) -> list[int]:
        """Return the indices of the known clients among the honest clients of the round, `present`."""
        if not self.run.redraw_knowledge:
            return self.known[present].nonzero()[:, 0].tolist()
        order = torch.randperm(len(present), generator=generator(self.run.seed, "knowledge", round))
        return order[: ceil_share(self.run.knowledge, len(present))].sort().values.tolist()


def _copy_rule(rule: Aggregator, rows: Rows, places: Sequence[int], round: Round) -> Aggregator:
    """Return a copy of the rule for an attack's trials. places: the indices of the known rows among all of the round.

    A rule that needs the server's own update gets the mean of the known honest rows in its place.
    """
    rule = copy.deepcopy(rule)
    if not rule.needs:
        return rule
    reference = rows.mean() if round.reference is not None and rows.n else None
    return Informed(rule=rule, round=replace(round, reference=reference), known=places)
