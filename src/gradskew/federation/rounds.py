"""The round loop: local training, attack, aggregation, step, evaluation."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..aggregators.vote import Vote
from ..core.names import nested
from ..core.numerics import float32_products
from ..core.randomness import generator
from ..core.round import Round
from ..core.rows import Rows
from ..skew.gradients import differences
from .attacker import Attacker
from .batches import Shard
from .client_side import ClientSide
from .clients import ENGINES, Training, resolve
from .evaluation import Evaluation, evaluate, scores_of
from .gradient import LossGradient
from .held_out import deal, for_evaluation
from .lens import RoundLens
from .loss import LOSSES
from .metrics import SUCCESS
from .network import draw_params, make_network
from .rows_in_place import keep_finite
from .run import Run
from .schema import LAST
from .snapshot import Snapshot, Unfit
from .votes import Votes

MOST_COUNTS = 1 << 18  # largest number of class counts, clients times classes, in a record


class Federation:
    """A server and its clients. One call of `round` updates the model from w^t to w^{t+1} (Eqs. 2 to 4).

    received: the rows (n, d) that the rule got in the last round, Byzantine ones first; the next round overwrites them.
    """

    def __init__(self, run: Run):
        self.run = run
        self.dataset = run.source.load().to(run.device)
        self.tested = for_evaluation(run, self.dataset)
        run.attack.check_setting("simulation", classes=self.dataset.num_classes)
        pair = run.attack.checked_pair(self.dataset.num_classes)
        self.pair = pair if LOSSES[run.loss].by_class else None
        self.labels = self.dataset.train.labels.cpu()
        self.parts, self.root = deal(run, self.dataset)
        self.lens = RoundLens(run)
        self.rule, self.server = copy.deepcopy(run.aggregator), copy.deepcopy(run.server)
        self.rule.reset()
        self.server.reset()
        self.aggregated = run.buffers == "aggregated"
        self.flat = make_network(run, self.dataset)
        self.params = self.flat.read_params()
        self.flat.bind(self.params)
        trained, width = run.num_sampled + run.trains_reference, self.flat.d + self.aggregated * self.flat.b
        self.matrix = self.params.new_empty(trained, width)
        self.received = self.matrix[:0]
        self.train = ENGINES[resolve(run.engine, run.model, run.device)]
        self.loss = LOSSES[run.loss]
        self.attacker = Attacker(run)
        self.attacker.initial = self.params.clone()
        self.gradient = LossGradient(self.flat, self.dataset, self.attacker.inputs(self.parts), self.loss)
        self.attacker.gradient = self.gradient
        self.attacker.network = partial(draw_params, run, self.dataset)
        self.training = Training(
            self.flat, self.dataset, run.sgd, run.seed, run.precision, run.rows == "gradient", self.loss
        )
        stay = all(rule.stay for rule in nested(run.aggregator) if isinstance(rule, Vote))
        self.votes = Votes(self.flat, self.dataset, self.parts, self.loss, run.num_byzantine, stay)
        self.clients = ClientSide(run, skips_single=self.flat.has_batch_norm)

    def round(self, number: int) -> dict[str, Any]:
        """Execute one round and return its metrics; the accuracy is None in a round without a test."""
        run, clients = self.run, self.sample(number)

        # Step 1: local training, also on the server's root data. Rows that are not finite are removed.
        updates, buffers, reference = self.updates(clients, number)
        f = self.told_f(clients)
        updates, buffers, clients = keep_finite(updates, buffers, clients)

        # Step 2: the attack replaces the Byzantine rows, which come first. Again rows that are not finite are removed.
        round, forged = self.describe_round(number, clients, reference), self.count_byzantine(clients)
        honest = Rows(updates[forged:], finite=True)
        probed = self.probe(clients[forged:])  # before the step, which also changes buffers
        forgery = self.attacker.forge(updates, honest, round, self.rule, self.rule_f(f, clients))
        self.attacker.previous = round.params
        updates, buffers, clients = keep_finite(updates, buffers, clients, changed=forged)

        # Step 3: the rule aggregates the rows.
        self.received = updates
        byzantine, rule_f = self.count_byzantine(clients), self.rule_f(f, clients)
        metrics: dict[str, Any] = {
            "rows": len(clients),
            "byzantine_rows": byzantine,
            "rejected": run.num_sampled - len(clients),
            "f": rule_f,
            "clamped": rule_f < f,
            "stepped": False,
            "byzantine_share": None,
            "distance": None,
            "attack": {"called": forgery is not None, **(forgery.notes if forgery else {})},
            "rule": {},
        }
        measures: dict[str, Any] | None = None
        if clients:
            rows = Rows(updates, round=replace(round, clients=clients, examples=self.examples(clients)), finite=True)
            outcome = self.rule.explain(rows, rule_f, generator=generator(run.seed, "rule", number))
            metrics["byzantine_share"] = outcome.share(byzantine)
            metrics["rule"] = dict(outcome.notes)
            metrics["clamped"] |= metrics["rule"].pop("clamped", False)
            if reference is not None and not reference.any():
                metrics["rule"]["reference"] = "zero or not finite"

            # Step 4: the server steps, unless the aggregate or the step is not finite.
            if outcome.value.isfinite().all() and self.step(outcome.value, buffers, rows):
                metrics["stepped"] = True
                metrics["distance"] = _distance(outcome.value, honest.once(Rows.mean)) if honest.n else None

            # Step 5: the lens measures the round.
            if run.lens and honest.n:
                looked = self.lens.look(rows, honest, outcome, self.rule, rule_f, metrics["distance"])
                measures = {**looked, **probed}

        # Step 6: the model is tested.
        tested = (number + 1) % run.evaluate_every == 0 or number >= run.rounds - LAST
        evaluation = evaluate(self.flat, self.tested, self.loss, self.pair) if tested else Evaluation()
        if evaluation.success is not None:
            metrics["attack"][SUCCESS] = evaluation.success
        lens = {"lens": None if measures is None else {**measures, "classes": evaluation.classes}} if run.lens else {}
        return {"round": number, "accuracy": evaluation.accuracy, **metrics, **lens}

    def snapshot(self, rounds: Sequence[dict[str, Any]]) -> Snapshot:
        """Return the state on which the next rounds depend. rounds: the metrics so far."""
        return Snapshot(
            rounds=list(rounds),
            params=self.params.clone(),
            buffers=self.flat.read_buffers(),
            others=[other.detach().clone() for other in self.flat.other_buffers],
            attack=self.attacker.attack.state_dict(),
            rule=self.rule.state_dict(),
            server=self.server.state_dict(),
            local=self.clients.variant.state_dict(),
            momentum=self.clients.momentum.state_dict(),
            pictures=list(self.lens.pictures),
            previous=self.attacker.previous,
        )

    def restore(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Restore a snapshot and return the metrics of its rounds; Unfit for a snapshot that is not of this run."""
        rounds = snapshot.check_like(self.snapshot([]), self.run.content)
        d, width = self.flat.d, self.matrix.shape[1]
        states = (
            (self.attacker.attack, snapshot.of("attack", self.params.device), width),
            (self.rule, snapshot.of("rule", self.params.device), width),
            (self.server, snapshot.of("server", self.params.device), d),
            (self.clients.variant, snapshot.of("local", self.params.device), d),
            (self.clients.momentum, snapshot.of("momentum", self.params.device), d),
        )
        for owner, state, length in states:
            if not owner.is_valid_state(state, length):
                raise Unfit(f"it has a state that {owner.name} cannot have")
        self.params.copy_(snapshot.params)
        self.flat.write_buffers(snapshot.buffers, snapshot.others)
        for owner, state, _ in states:
            owner.load_state_dict(state)
        self.lens.pictures = list(snapshot.pictures)
        self.attacker.previous = None if snapshot.previous is None else snapshot.previous.to(self.params.device)
        return rounds

    def told_f(self, clients: list[int]) -> int:
        """Return the f that the server expects in a round with these clients, see `Options`."""
        run = self.run
        if run.told == "actual":
            return self.count_byzantine(clients)
        expected = -(-run.num_byzantine * run.num_sampled // run.clients)
        return expected if run.told == "expected" else int(run.told)

    def count_byzantine(self, clients: list[int]) -> int:
        """Return how many of the clients are Byzantine: those with the lowest ids."""
        return sum(client < self.run.num_byzantine for client in clients)

    def rule_f(self, f: int, clients: list[int]) -> int:
        """Return the f that the rule is called with: the given f, or the largest that it tolerates."""
        return min(f, self.rule.max_f(len(clients))) if clients else 0

    def sample(self, round: int) -> list[int]:
        """Return the ids of the clients of a round in rising order, so that Byzantine ones come first."""
        run = self.run
        if run.num_sampled == run.clients:
            return list(range(run.clients))
        order = torch.randperm(run.clients, generator=generator(run.seed, "clients", round))
        return sorted(order[: run.num_sampled].tolist())

    def updates(self, clients: list[int], round: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Train the clients, and the server on its root data.

        Returns the rows that the clients send (n, d), w^t - w_i^{t+1} unless the run says otherwise, what they send of
        their buffers (n, b), and the server's own row (d,): zeros if it is not finite, None without root data or for a
        rule that does not need it.
        """
        n, d = len(clients), self.flat.d
        shards = [self.shard(client, round) for client in clients]
        if self.run.trains_reference:
            terms = self.clients.variant.terms(self.run.clients)
            shards.append(Shard(self.run.clients, self.root, self.labels[self.root], terms))
        with float32_products(self.run.device, tf32=self.run.precision == "tf32"):
            buffers = self.train(self.training, self.params, shards, round, self.matrix[:, :d])
        self.clients.send(shards, self.matrix[:, :d], n)
        if self.aggregated:
            self.matrix[:, d:] = buffers
        reference = self.matrix[n] if self.run.trains_reference else None
        if reference is not None and not reference.isfinite().all():
            reference.zero_()
        return self.matrix[:n], buffers[:n], reference

    def probe(self, clients: Sequence[int]) -> dict[str, Any]:
        """Return how much the clients' full-batch gradients differ at the present model; nothing without `probe`."""
        if not (self.run.probe and clients):
            return {}
        return differences(self.gradient.on(self.params, self.parts[client]) for client in clients)

    def shard(self, client: int, round: int) -> Shard:
        """Return what a client trains on in a round; that of a Byzantine client is changed by the attack."""
        index, terms = self.parts[client], self.clients.variant.terms(client)
        labels = self.labels[index]
        if client < self.run.num_byzantine:
            scores = partial(scores_of, self.flat, self.dataset, index)
            labels = self.attacker.relabel(labels, self.dataset.num_classes, round, client, scores)
            terms = replace(terms, scale=terms.scale * self.attacker.scale(round))
        return Shard(client, index, labels, terms)

    def describe_round(self, number: int, clients: list[int], reference: Tensor | None) -> Round:
        """Return what the server knows of a round with these clients."""
        return Round(
            number=number,
            clients=clients,
            examples=self.examples(clients),
            params=self.params.clone(),
            layers=self.flat.layers,
            reference=reference,
            losses=partial(self.votes, honestly=not self.attacker.acts(number)) if self.run.votes else None,
            rate=self.run.sgd.lr if self.run.rows == "gradient" else 1.0,
        )

    def examples(self, clients: list[int]) -> Tensor:
        """Return how many training inputs each client has: (n,)."""
        return torch.from_numpy(self.parts.sizes[clients])

    def step(self, aggregate: Tensor, buffers: Tensor, rows: Rows) -> bool:
        """Step the model and the rule's state; set the buffers from the aggregate, or to the mean of the clients'.

        Returns whether the step of the server's optimiser is finite; if not, everything stays as it is.
        """
        d, rate = self.flat.d, rows.round.rate
        if not self.server.step_if_finite(self.params, aggregate[:d] if rate == 1 else rate * aggregate[:d]):
            return False
        self.clients.step(aggregate[:d], rows)
        if self.aggregated:
            self.flat.step_buffers(aggregate[d:])
        else:
            self.flat.write_buffers(buffers.double().mean(0).float())
        self.rule.observe(aggregate, rows=rows)
        return True

    def class_counts(self) -> list[list[int]] | None:
        """Return the number of inputs of each class, for each client; None above MOST_COUNTS numbers."""
        classes = self.dataset.num_classes
        if len(self.parts) * classes > MOST_COUNTS:
            return None
        return [self.labels[index].bincount(minlength=classes).tolist() for index in self.parts]

    def test_counts(self) -> list[int] | None:
        """Return the number of test inputs of each class; None where the loss has none, or above MOST_COUNTS."""
        classes = self.dataset.num_classes
        if not LOSSES[self.run.loss].by_class or classes > MOST_COUNTS:
            return None
        return self.tested.test.labels.bincount(minlength=classes).tolist()


def _distance(a: Tensor, b: Tensor) -> float:
    return float(torch.linalg.vector_norm(a.double() - b.double()))
