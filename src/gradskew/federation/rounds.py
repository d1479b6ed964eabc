"""The round loop: local training, attack, aggregation, step, evaluation."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Outcome
from ..attacks import Context, Forgery
from ..core.errors import ceil_share, check
from ..core.numerics import float32_products
from ..core.randomness import generator, torch_seed
from ..core.rows import Rows
from ..models import initial
from ..skew import Picture, digits, look, pictures
from .clients import ENGINES, Shard, Training, resolve
from .computing import computing
from .memory import check_fits
from .rows_in_place import in_front, keep_finite
from .run import LAST, Run
from .snapshot import Snapshot, Unfit

MOST_COUNTS = 1 << 18  # class counts, of clients and classes, that a record keeps


@dataclass(frozen=True)
class Result:
    """What a run gave: a dictionary of metrics for each round, and the final model.

    With the lens, also for each client the number of its images of each class (None for a great many), and pictures.
    """

    run: Run
    rounds: list[dict[str, Any]]
    params: Tensor
    buffers: Tensor
    class_counts: list[list[int]] | None = None
    pictures: Sequence[Picture] = ()

    @property
    def params_sha256(self) -> str:
        """SHA-256 of the final parameters and buffers."""
        return hashlib.sha256(self.params.cpu().numpy().tobytes() + self.buffers.numpy().tobytes()).hexdigest()


def simulate(
    run: Run,
    *,
    on_round: Callable[[dict[str, Any]], None] = lambda metrics: None,
    start: Snapshot | None = None,
    on_snapshot: Callable[[Snapshot], None] = lambda snapshot: None,
) -> Result:
    """Run one cell of the bench; after each round `on_snapshot` is given a snapshot, and `on_round` the metrics.

    start: a snapshot to go on from, whose rounds count at once; Unfit is raised if it cannot be of this run.
    The result depends on the run alone: not on what ran before, nor on the global random state, which stays untouched,
    nor on the snapshot of the same run that it starts from.
    """
    with computing(run):
        check_fits([run])
        federation = Federation(run)
        rounds = [] if start is None else federation.restore(start)
        for metrics in rounds:
            on_round(metrics)
        for round in range(len(rounds), run.rounds):
            rounds.append(federation.round(round))
            on_snapshot(federation.snapshot(rounds))
            on_round(rounds[-1])
        last = federation.params.clone(), federation.flat.read_buffers()
        return Result(run, rounds, *last, federation.class_counts() if run.lens else None, federation.pictures)


class Federation:
    """A server and its clients. One call of `round` takes the model from w^t to w^{t+1} (Eqs. 2 to 4)."""

    def __init__(self, run: Run):
        self.run = run
        self.dataset = run.source.load().to(run.device)
        self.labels = self.dataset.train.labels.cpu()
        self.parts = run.partition(self.dataset, run.clients, run.seed)
        self.attack, self.rule = copy.deepcopy(run.attack), copy.deepcopy(run.aggregator)
        self.attack.reset()
        self.attack.begin(run.seed)
        self.rule.reset()
        self.aggregated = run.buffers == "aggregated"
        shape, classes = self.dataset.shape, self.dataset.num_classes
        self.flat = initial(run.model, shape, classes, torch_seed(run.seed, "model"), self.aggregated, run.device)
        self.params = self.flat.read_params()
        self.flat.bind(self.params)
        self.buffers = self.flat.read_buffers()
        self.rows = self.params.new_empty(run.num_sampled, self.flat.d + self.aggregated * self.flat.b)
        self.accepted = self.rows[:0]  # what the rule sees of them
        engine = resolve(run.engine, run.model, run.device)
        alone = self.flat.has_batch_norm or self.flat.has_dropout
        check(engine == "loop" or not alone, f"the model {run.model.name} has batch norm or dropout: use engine = loop")
        self.train = ENGINES[engine]
        self.training = Training(self.flat, self.dataset, run.sgd, run.seed, run.precision)
        honest = run.clients - run.num_byzantine
        order = torch.randperm(honest, generator=generator(run.seed, "knowledge"))
        self.pictures: list[Picture] = []
        self.known = torch.zeros(run.clients, dtype=torch.bool)
        self.known[order[: ceil_share(run.knowledge, honest)] + run.num_byzantine] = True

    def round(self, round: int) -> dict[str, Any]:
        """Play one round; returns its metrics. The accuracy is None where the model was not tested."""
        run = self.run
        clients = self.sample(round)
        updates, buffers = self.updates(clients, round)
        f = self.count(clients)
        if run.told == "expected":
            f = -(-run.num_byzantine * run.num_sampled // run.clients)

        updates, buffers, clients = keep_finite(updates, buffers, clients)
        honest_mean = mean(updates[self.count(clients) :])
        forgery = self.forge(updates, clients, self.tell(f, clients), round)
        updates, buffers, clients = keep_finite(updates, buffers, clients)
        self.accepted = updates

        byzantine, told = self.count(clients), self.tell(f, clients)
        metrics: dict[str, Any] = {
            "rows": len(clients),
            "byzantine_rows": byzantine,
            "rejected": run.num_sampled - len(clients),
            "f": told,
            "clamped": told < f,
            "stepped": False,
            "byzantine_share": None,
            "distance": None,
            "attack": {"called": forgery is not None, **(forgery.notes if forgery else {})},
            "rule": {},
        }
        seen: dict[str, Any] | None = None
        if clients:
            outcome = self.rule.explain(updates, told, generator=generator(run.seed, "rule", round))
            if outcome.value.isfinite().all():
                self.step(outcome.value, buffers)
                metrics["stepped"] = True
            metrics["byzantine_share"] = outcome.share(byzantine)
            if metrics["stepped"] and honest_mean is not None:
                metrics["distance"] = float(torch.linalg.vector_norm(outcome.value.double() - honest_mean.double()))
            metrics["rule"] = dict(outcome.notes)
            metrics["clamped"] |= metrics["rule"].pop("clamped", False)
            if run.lens and byzantine < len(clients):
                seen = self.look(round, updates, clients, outcome, forgery, metrics["distance"], told)
        tested = (round + 1) % run.evaluate_every == 0 or round >= run.rounds - LAST
        accuracy, classes = self.test() if tested else (None, None)
        lens = {"lens": None if seen is None else {**seen, "classes": classes}} if run.lens else {}
        return {"round": round, "accuracy": accuracy, **metrics, **lens}

    def snapshot(self, rounds: Sequence[dict[str, Any]]) -> Snapshot:
        """What the rounds to come depend on, after these."""
        others = [other.detach().clone() for other in self.flat.others]
        states = self.attack.state_dict(), self.rule.state_dict()
        return Snapshot(list(rounds), self.params.clone(), self.buffers, others, *states, list(self.pictures))

    def restore(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Go back to a snapshot of the same run; returns the metrics of the rounds before it. Unfit for another's."""
        snapshot.check_like(self.snapshot([]), self.run.content)
        d = self.rows.shape[1]
        if not (self.attack.is_valid_state(snapshot.attack, d) and self.rule.is_valid_state(snapshot.rule, d)):
            raise Unfit("what the attack or the rule remembers cannot be")
        self.params.copy_(snapshot.params)
        self.flat.write_buffers(snapshot.buffers, snapshot.others)
        self.buffers = self.flat.read_buffers()
        self.attack.load_state_dict(snapshot.attack)
        self.rule.load_state_dict(snapshot.rule)
        self.pictures = list(snapshot.pictures)
        return list(snapshot.rounds)

    def look(
        self,
        round: int,
        updates: Tensor,
        clients: list[int],
        outcome: Outcome,
        forgery: Forgery | None,
        distance: float | None,
        told: int,
    ) -> dict[str, Any]:
        """What the lens sees of a round that has an honest row."""
        byzantine, known = self.count(clients), forgery.geometry if forgery else None
        bound = self.rule.kappa_bound(len(clients), told) if told == byzantine else None
        skew, seen = look(updates, clients, byzantine, outcome, known, distance=distance, bound=bound)
        if round in self.run.pictured:
            aggregate = None if distance is None else outcome.value
            rows = outcome.geometry or Rows(updates)
            self.pictures += pictures(round, rows, byzantine, skew.members, aggregate)
        every = len(clients) - byzantine == self.run.clients - self.run.num_byzantine
        return {**seen, "clients": None if every else clients[byzantine:]}

    def count(self, clients: list[int]) -> int:
        """How many of the clients are Byzantine: their ids are the lowest."""
        return sum(client < self.run.num_byzantine for client in clients)

    def tell(self, f: int, clients: list[int]) -> int:
        """The f that the rule is told: at most what it tolerates."""
        return min(f, self.rule.max_f(len(clients))) if clients else 0

    def sample(self, round: int) -> list[int]:
        """The clients of a round, in rising order: Byzantine ones come first."""
        run = self.run
        if run.num_sampled == run.clients:
            return list(range(run.clients))
        order = torch.randperm(run.clients, generator=generator(run.seed, "clients", round))
        return sorted(order[: run.num_sampled].tolist())

    def updates(self, clients: list[int], round: int) -> tuple[Tensor, Tensor]:
        """Local training: rows w^t - w_i^{t+1} (n, d), and the buffers that the clients end with (n, b)."""
        d = self.flat.d
        shards = [self.shard(client) for client in clients]
        with float32_products(self.run.device, tf32=self.run.precision == "tf32"):
            buffers = self.train(self.training, self.params, shards, round, self.rows[:, :d])
        if self.aggregated:
            self.rows[:, d:] = self.buffers - buffers
        return self.rows, buffers

    def shard(self, client: int) -> Shard:
        """A client's data; a Byzantine one trains on the labels that the attack chooses."""
        index = self.parts[client]
        labels = self.labels[index]
        if client < self.run.num_byzantine:
            labels = self.attack.relabel(labels, self.dataset.num_classes)
        return Shard(client, index, labels)

    def forge(self, updates: Tensor, clients: list[int], told: int, round: int) -> Forgery | None:
        """Put forged rows in place of the Byzantine ones.

        Without a Byzantine row, or a known honest one, the attack is not called and all rows go out unchanged: None.
        """
        run, byzantine = self.run, self.count(clients)
        present = torch.tensor(clients[byzantine:], dtype=torch.int64)
        known = self.known[present]
        if run.redraw_knowledge:
            order = torch.randperm(len(present), generator=generator(run.seed, "knowledge", round))
            known = torch.zeros_like(known)
            known[order[: ceil_share(run.knowledge, len(present))]] = True
        seen = known.nonzero()[:, 0].tolist()
        if not byzantine or not seen:
            return None
        others = updates.data[byzantine:]
        with in_front(others, seen):
            honest = others[: len(seen)]
            before = honest._version  # counts changes in place
            ids = present[seen].tolist()
            self.attack.observe(honest, clients=ids)
            context = Context(round, self.params.clone(), copy.deepcopy(self.rule), ids, told)
            rng = generator(run.seed, "attack", round)
            forgery = self.attack.explain(honest, updates[:byzantine], n=len(clients), generator=rng, context=context)
            check(
                honest._version == before, f"the attack {self.attack.name} changed the honest rows: it must copy them"
            )
            wanted, got = (byzantine, updates.shape[1]), tuple(forgery.rows.shape)
            check(got == wanted, f"the attack {self.attack.name} gave rows of shape {got}, not {wanted}")
            updates[:byzantine] = forgery.rows
        return replace(forgery, geometry=forgery.geometry if len(seen) == len(others) else None)

    def step(self, aggregate: Tensor, buffers: Tensor) -> None:
        """w^{t+1} = w^t - aggregate (Eq. 3); buffers follow it, or become the plain mean of the accepted clients'."""
        d = self.flat.d
        self.params -= aggregate[:d]
        if self.flat.b:
            after = self.buffers - aggregate[d:].cpu() if self.aggregated else buffers.double().mean(0).float()
            self.flat.write_buffers(after)
            self.buffers = self.flat.read_buffers()
        self.rule.observe(aggregate)

    @torch.no_grad()
    def test(self) -> tuple[float, list[float | None]]:
        """Accuracy on the test images, in percent: on all of them, and on each class (None where it has none)."""
        self.flat.module.eval()
        test, classes = self.dataset.test, self.dataset.num_classes
        right = torch.zeros(classes, dtype=torch.int64, device=self.params.device)
        at_once = self.dataset.at_once
        for images, labels in zip(test.images.split(at_once), test.labels.split(at_once), strict=True):
            hits = labels[self.flat.module(self.dataset.inputs(images)).argmax(1) == labels]
            right += hits.bincount(minlength=classes)
        found = zip(right.tolist(), test.labels.bincount(minlength=classes).tolist(), strict=True)
        of_each = [digits(100 * hits / count) if count else None for hits, count in found]
        return 100 * int(right.sum()) / len(test), of_each

    def class_counts(self) -> list[list[int]] | None:
        """For each client the number of its images of each class; None if that is a great many numbers."""
        classes = self.dataset.num_classes
        if len(self.parts) * classes > MOST_COUNTS:
            return None
        return [self.labels[index].bincount(minlength=classes).tolist() for index in self.parts]


def mean(rows: Tensor) -> Tensor | None:
    """The mean of the rows, or None if there is none."""
    return Rows(rows).combine(torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)) if len(rows) else None
