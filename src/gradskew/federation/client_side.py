"""What clients do around SGD: their variant of local training, FedNova's normalisation, and worker momentum."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor

from ..core.given import finite_rows
from ..core.rows import Rows
from .batches import Shard, num_steps
from .fednova import factors
from .remembering import WorkerMomentum
from .run import Run


class ClientSide:
    """The clients of a run with what they remember; the server's training on its root data is one client more.

    skips_single: whether batches of one sample make no step. rate: of all steps of a client that remembers, K lr; 1 if
    rows are gradients.
    """

    def __init__(self, run: Run, *, skips_single: bool):
        self.run, self.skips_single = run, skips_single
        self.variant = copy.deepcopy(run.local)
        self.variant.reset()
        self.momentum = WorkerMomentum(beta=run.worker_momentum, start=run.worker_momentum_start)
        self.rate = 1.0 if run.rows == "gradient" else (run.sgd.local_steps or 1) * run.sgd.lr

    def send(self, shards: Sequence[Shard], rows: Tensor, clients: int) -> None:
        """Turn the rows of local training (n, d) into those that are sent, in place; update what is remembered.

        clients: the number of rows of clients, which come first. A row that is not finite stays as it is, and its
        client remembers what it did.
        """
        run = self.run
        if run.rows == "fednova":
            steps = [num_steps(run.sgd, len(shard.index), skips_single=self.skips_single) for shard in shards]
            for row, factor in zip(rows, factors(steps, clients, run.sgd.momentum), strict=True):
                if factor != 1:
                    row.mul_(factor)
        if not run.remembers:
            return
        for shard, row, finite in zip(shards, rows, finite_rows(rows).tolist(), strict=True):
            if finite and self.variant.remembers:
                self.variant.learn(shard.client, row, self.rate)
            if finite and run.worker_momentum:
                row.copy_(self.momentum.sent(shard.client, row))

    def step(self, aggregate: Tensor, rows: Rows) -> None:
        """Update what the server remembers for the variant by the aggregate (d,) of the rows."""
        self.variant.step(aggregate, rows, self.rate, self.run.clients)
