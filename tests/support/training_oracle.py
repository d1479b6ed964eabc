"""Federations in float64: local training by autograd, one client after another, and the steps of the server.

Written from the formulas of `docs/semantics.md`; shares no code with the package but the seeds of its draws.
"""

from __future__ import annotations

import copy
import itertools
import statistics
from collections.abc import Iterator

import torch
from tiny import hashed
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run


class Oracle:
    """The clients, the mean and the server of a run. w: the parameters (d,). buffers: the mean of the clients'."""

    def __init__(self, run: Run) -> None:
        federation = Federation(run)
        self.run, self.sgd, self.data = run, run.sgd, run.source.load()
        self.parts, self.sample = federation.parts, federation.sample
        self.net = copy.deepcopy(federation.flat.module).double().train()
        self.weights = [weight for weight in self.net.parameters() if weight.requires_grad]
        self.w = torch.cat([weight.detach().flatten() for weight in self.weights])
        self.buffers = [buffer.clone() for buffer in self.net.buffers()]
        self.start = [buffer.clone() for buffer in self.net.buffers()]
        self.skips = any(isinstance(part, nn.BatchNorm1d) for part in self.net.modules())
        zero = torch.zeros_like(self.w)
        self.c, self.c_of = zero, dict.fromkeys(range(run.clients), zero)
        self.q_of: dict[int, Tensor] = {}
        self.b, self.p, self.v = zero, zero, torch.full_like(zero, getattr(run.server, "tau", 0) ** 2)

    def batches(self, client: int, round: int) -> Iterator[Tensor]:
        """The batches of a client in a round; those of one sample are left out under batch norm."""
        sgd, index = self.sgd, self.parts[client]
        rng = torch.Generator().manual_seed(hashed(self.run.seed, "batches", round, client))

        def endless() -> Iterator[Tensor]:
            while True:
                yield from index[torch.randperm(len(index), generator=rng)].split(sgd.batch)

        steps = sgd.local_steps if sgd.local_steps else sgd.epochs * len(index.split(sgd.batch))
        for chosen in itertools.islice(endless(), steps):
            if len(chosen) > 1 or not self.skips:
                yield chosen

    def train(self, client: int, round: int) -> tuple[Tensor, Tensor, int]:
        """The update of a client (d,), its last step (d,) and the number of its steps."""
        sgd, name = self.sgd, self.run.local.key
        mu = self.run.local.mu if name == "fedprox" else 0.0
        offset = self.c - self.c_of[client] if name == "scaffold" else 0.0
        ascends = getattr(self.run.attack, "how", "") == "training" and client < self.run.num_byzantine
        x, m, steps = self.w.clone(), torch.zeros_like(self.w), 0
        for buffer, before in zip(self.net.buffers(), self.buffers, strict=True):
            buffer.copy_(before)
        for chosen in self.batches(client, round):
            nn.utils.vector_to_parameters(x, self.weights)
            images = self.data.train.inputs[chosen].double() * self.data.scale + self.data.shift
            loss = cross_entropy(self.net(images), self.data.train.labels[chosen])
            found = torch.autograd.grad(loss, self.weights, allow_unused=True, materialize_grads=True)
            g = torch.cat([each.flatten() for each in found])
            if sgd.clip is not None:
                g = g * min(1.0, sgd.clip / (float(g.norm()) + 1e-6))
            g = (-g if ascends else g) + mu * (x - self.w) + offset
            m = sgd.momentum * m + g + sgd.weight_decay * x
            x = x - sgd.lr * m
            steps += 1
        return self.w - x, m, steps

    def round(self, number: int) -> None:
        """One round under the mean: move w, the buffers and all that is remembered."""
        run, clients, buffers = self.run, self.sample(number), []
        trained = []
        for client in clients:
            trained.append(self.train(client, number))
            buffers.append([buffer.clone() for buffer in self.net.buffers()])
        rows = [step if run.rows == "gradient" else update for update, step, _ in trained]
        if run.rows == "fednova":
            weights = [sum_of_weights(steps, self.sgd.momentum) for _, _, steps in trained]
            effective = statistics.median(weights)
            rows = [row * effective / a if a else row for row, a in zip(rows, weights, strict=True)]
        rate = self.sgd.lr if run.rows == "gradient" else 1.0
        if run.worker_momentum:
            rows = [self.momentum(client, row) for client, row in zip(clients, rows, strict=True)]
        aggregate = torch.stack(rows).mean(0)
        if run.local.key == "scaffold":
            of_all = rate / (self.sgd.local_steps * self.sgd.lr)
            changes = []
            for client, row in zip(clients, rows, strict=True):
                after = self.c_of[client] - self.c + of_all * row
                changes.append(after - self.c_of[client])
                self.c_of[client] = after
            self.c = self.c + len(clients) / run.clients * torch.stack(changes).mean(0)
        self.step(rate * aggregate)
        for place, start in enumerate(self.start):
            if start.is_floating_point() and start.isfinite().all():
                self.buffers[place] = torch.stack([each[place] for each in buffers]).mean(0)

    def momentum(self, client: int, row: Tensor) -> Tensor:
        beta, first = self.run.worker_momentum, self.run.worker_momentum_start == "first"
        before = self.q_of.get(client, row if first else torch.zeros_like(row))
        self.q_of[client] = beta * before + (1 - beta) * row
        return self.q_of[client]

    def step(self, x: Tensor) -> None:
        server = self.run.server
        if server.key == "fedavg":
            self.w = self.w - x
        elif server.key == "fedavgm":
            self.b = server.beta * self.b + x
            self.w = self.w - server.lr * self.b
        else:
            self.p = server.beta1 * self.p + (1 - server.beta1) * x
            if server.key == "fedadam":
                self.v = server.beta2 * self.v + (1 - server.beta2) * x**2
            elif server.key == "fedyogi":
                self.v = self.v - (1 - server.beta2) * x**2 * torch.sign(self.v - x**2)
            else:
                self.v = self.v + x**2
            self.w = self.w - server.lr * self.p / (self.v**0.5 + server.tau)


def sum_of_weights(steps: int, momentum: float) -> float:
    """The weights of all gradients in the sum of `steps` momenta, one after another."""
    m = total = 0.0
    for _ in range(steps):
        m = momentum * m + 1
        total += m
    return total
