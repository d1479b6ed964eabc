"""The attack in the round loop: which honest rows it knows, and the Byzantine rows that it replaces."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator
from ..attacks import Context, Forgery
from ..core.errors import ceil_share
from ..core.randomness import generator
from ..core.round import Round
from ..core.rows import Rows
from .rows_in_place import move_to_front
from .run import Run


class Attacker:
    """An attack with its state. known: (clients,) bool, the honest clients that it knows, drawn once per run."""

    def __init__(self, run: Run):
        self.run, self.attack = run, copy.deepcopy(run.attack)
        self.attack.reset()
        self.attack.begin(run.seed)
        honest = run.clients - run.num_byzantine
        order = torch.randperm(honest, generator=generator(run.seed, "knowledge"))
        self.known = torch.zeros(run.clients, dtype=torch.bool)
        self.known[order[: ceil_share(run.knowledge, honest)] + run.num_byzantine] = True

    def forge(self, updates: Tensor, honest: Rows, round: Round, rule: Aggregator, f: int) -> Forgery | None:
        """Replace the Byzantine rows, the first of updates (n, d), by forged ones, and return the forgery.

        honest: the rows after them. f: the f that the server will call the rule with. Without a Byzantine row or a
        known honest row the attack is not called: returns None and leaves the rows unchanged.
        """
        assert round.clients is not None
        byzantine = len(updates) - honest.n
        present = torch.tensor(round.clients[byzantine:], dtype=torch.int64)
        known = self._known(present, round.number)
        if not byzantine or not known:
            return None
        with move_to_front(honest.updates, known):
            rows = honest if len(known) == honest.n else Rows(honest.updates[: len(known)], finite=True)
            ids = present[known].tolist()
            self.attack.observe(rows.updates, clients=ids)
            context = self._context(rows, ids, round, rule, f)
            rng = generator(self.run.seed, "attack", round.number)
            own = Rows(updates[:byzantine], finite=True)
            forgery = self.attack.explain(rows, own, n=len(updates), generator=rng, context=context)
            updates[:byzantine] = forgery.rows
        return forgery

    def _known(self, present: Tensor, round: int) -> list[int]:
        """Return the indices of the known clients among the honest clients of the round, `present`."""
        if not self.run.redraw_knowledge:
            return self.known[present].nonzero()[:, 0].tolist()
        order = torch.randperm(len(present), generator=generator(self.run.seed, "knowledge", round))
        return order[: ceil_share(self.run.knowledge, len(present))].sort().values.tolist()

    def _context(self, rows: Rows, clients: Sequence[int], round: Round, rule: Aggregator, f: int) -> Context:
        assert round.params is not None
        return Context(
            round=round.number, params=round.params, rule=_copy_rule(rule, rows, round), clients=clients, f=f
        )


def _copy_rule(rule: Aggregator, rows: Rows, round: Round) -> Callable[..., Tensor]:
    """Return a copy of the rule for an attack's trials.

    A rule that needs the server's own update gets the mean of the known honest rows in its place.
    """
    rule = copy.deepcopy(rule)
    if not rule.needs:
        return rule
    known = replace(round, reference=None if round.reference is None else rows.mean())

    def call(updates: Tensor | Rows, f: int, *, generator: torch.Generator | None = None) -> Any:
        return rule(updates, f, generator=generator, round=known)

    return call
