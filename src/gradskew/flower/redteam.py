"""An attack on the user's own federation, in her server process, on replies that it has received."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import aggregators, attacks
from ..aggregators import Aggregator
from ..attacks import Attack, Context, Forgery, NoAttack
from ..core.errors import InputError, ceil_share, check, check_count_or_share, check_number
from ..core.randomness import generator
from ..core.rows import Rows, finite_rows
from ..skew import pictures
from .around import Around
from .interface import VERSION, ArrayRecord, ConfigRecord, Grid, Message, MetricRecord, Result, Strategy, log
from .journal import Journal
from .measure import Scene, measured
from .robust import Robust, averages
from .rows import STATISTICS, Received, arrays_of, printable, receive
from .trail import Trail

RULES = ("mean", "median", "rbtm", "multikrum", "rfa", "aksel", "dnc", "nnm+median", "nnm+multikrum", "nnm+rfa")
EvaluateFn = Callable[[int, ArrayRecord], MetricRecord | None]


class RedTeam(Around):
    """What an attack would do to the federation that this strategy serves.

    Some clients, drawn once among those connected in the first round, count as Byzantine: before the strategy sees
    their replies, the trained arrays in them are replaced by what the attack forges from all replies. Nothing else
    changes, nothing leaves the server process, and the clients do not notice. `start` trains twice, first without the
    attack, and returns what that gave: the model to keep. The difference is what the attack costs.

    attack: a name such as "lie(z=1.0)", or an Attack. byzantine: how many clients, or their share, rounded up. rules:
    which of ours to try on each round's replies. reference: whether to train without the attack first; if not, `start`
    returns the attacked model. out: the folder of report.html and rounds.json. statistics: as in `Robust`.
    """

    def __init__(
        self,
        strategy: Strategy,
        attack: str | Attack = "strike",
        byzantine: float = 0.2,
        *,
        rules: Sequence[str | Aggregator] = RULES,
        reference: bool = True,
        out: Path | str = "gradskew-flower",
        statistics: Sequence[str] = STATISTICS,
        seed: int = 0,
    ):
        super().__init__(strategy, statistics)
        check(not isinstance(strategy, RedTeam), "one RedTeam at a time: it stands around your strategy or Robust")
        self.attack = attacks.make(attack) if isinstance(attack, str) else copy.deepcopy(attack)
        check(isinstance(self.attack, Attack), f"attack must be a name or an Attack, not {self.attack!r}")
        check(
            not self.attack.relabels(), f"{self.attack.name} needs the clients' training, which a server does not see"
        )
        check_count_or_share("byzantine", byzantine)
        check(not isinstance(rules, str), "rules must be a list of names")
        self.rules = [aggregators.make(rule) if isinstance(rule, str) else copy.deepcopy(rule) for rule in rules]
        check_number("seed", seed, at_least=0, whole=True)
        self.byzantine, self.reference, self.seed = byzantine, reference, seed
        self.chosen: frozenset[int] | None = None
        self.attacking: Attack = self.attack
        self.failed: set[str] = set()
        settings = {"strategy": name_of(strategy), "attack": self.attack.name, "byzantine": byzantine, "seed": seed}
        self.journal = Journal(out, {**settings, "flwr": VERSION, "base": base_of(strategy), "nodes": [], "chosen": []})

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: EvaluateFn | None = None,
    ) -> Result:
        """Train without the attack, then with it; returns what the first training gave."""
        self.journal.trails.clear()
        self.journal.settings["rounds"] = num_rounds
        results = []
        evaluate = None if evaluate_fn is None else self._noting(evaluate_fn)
        try:
            for attack, strategy in self._trainings():
                self.strategy = strategy
                self.begin(attack)
                log.info("RedTeam: training under attack = %s", attack.name)
                configs = (copy.deepcopy(train_config), copy.deepcopy(evaluate_config))
                results.append(super().start(grid, initial_arrays, num_rounds, timeout, *configs, evaluate))
        except BaseException as error:
            self.trail.ended = printable(f"{type(error).__name__}: {error}")
            raise
        finally:
            self.journal.write(last=True)
        log.info("RedTeam: the report is %s", self.journal.folder / "report.html")
        return results[0]

    def _trainings(self) -> list[tuple[Attack, Strategy]]:
        """The attack of each training, with a strategy that has seen no round."""
        if not self.reference or self.attack.key == NoAttack.key:
            return [(self.attack, self.strategy)]
        try:
            return [(NoAttack(), self.strategy), (self.attack, copy.deepcopy(self.strategy))]
        except Exception as error:  # whatever a user's strategy holds on to
            log.warning("RedTeam: no training without the attack, as the strategy cannot be copied: %s", error)
            return [(self.attack, self.strategy)]

    def begin(self, attack: Attack) -> None:
        """A training starts anew under this attack."""
        self.attacking = attack
        attack.reset()
        attack.begin(self.seed)
        self.journal.trails.append(Trail(attack.name))

    @property
    def trail(self) -> Trail:
        if not self.journal.trails:  # a loop of the user's own, without `start`
            self.begin(self.attack)
        return self.journal.trails[-1]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The strategy's own messages; in the first round the Byzantine clients are drawn."""
        self.trail.begun = server_round
        messages = super().configure_train(server_round, arrays, config, grid)
        if self.chosen is None:
            self._choose(sorted(grid.get_node_ids()))
        return messages

    def _choose(self, nodes: list[int]) -> None:
        count = self.byzantine if isinstance(self.byzantine, int) else ceil_share(self.byzantine, len(nodes))
        order = torch.randperm(len(nodes), generator=generator(self.seed, "byzantine"))
        self.chosen = frozenset(nodes[i] for i in order[:count].tolist())
        self.journal.settings |= {"nodes": nodes, "chosen": sorted(self.chosen)}
        log.info("RedTeam: %d of %d connected clients count as Byzantine", len(self.chosen), len(nodes))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """What the strategy makes of the replies, forged ones among them."""
        replies, chosen = list(replies), self.chosen or frozenset()

        def place(node: int) -> tuple[bool, int]:  # Byzantine rows first
            return node not in chosen, node

        received = receive(self.layout, sorted(replies, key=lambda reply: place(reply.metadata.src_node_id)))
        byzantine = sum(node in chosen for node in received.nodes)
        self.say(received.rejected, "is not measured")
        trail = self.trail
        forgery, why = self._forge(received, byzantine, server_round)
        sent = replies if forgery is None else self._replaced(replies, received, forgery)
        arrays, metrics = self.strategy.aggregate_train(server_round, sent)
        called: dict[str, Any] = {"called": forgery is not None, **({"why": why} if why else {})}
        seen = {"round": server_round - 1, "rejected": {str(n): why for n, why in received.rejected.items()}}
        seen |= {"attack": called | (dict(forgery.notes) if forgery else {}), "metrics": {}}
        seen |= self._measured(received, byzantine, forgery, arrays, server_round)
        trail.rounds.append(seen)
        trail.add(server_round, "train", metrics)
        self.journal.write()
        return arrays, metrics

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """The strategy's own metrics, noted."""
        metrics = super().aggregate_evaluate(server_round, replies)
        self.trail.add(server_round, "clients", metrics)
        return metrics

    def _noting(self, evaluate_fn: EvaluateFn) -> EvaluateFn:
        def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
            metrics = evaluate_fn(server_round, arrays)
            self.trail.add(server_round, "server", metrics)
            return metrics

        return evaluate

    def _forge(self, received: Received, byzantine: int, server_round: int) -> tuple[Forgery | None, str]:
        """Put forged rows in place of the Byzantine ones, which come first; or None, and why not."""
        if self.attacking.key == NoAttack.key:
            return None, ""
        n = len(received.replies)
        if not 0 < byzantine < n:
            return None, f"{byzantine} of {n} usable replies are of Byzantine clients"
        own, honest, clients = received.rows[:byzantine], Rows(received.rows[byzantine:]), received.nodes[byzantine:]
        try:
            self.attacking.observe(honest.updates, clients=clients)
            number, params = server_round - 1, self.layout.params()
            context = Context(round=number, params=params, rule=_untold, clients=clients, f=byzantine)
            rng = generator(self.seed, "attack", server_round)
            forgery = self.attacking.explain(honest, own, n=n, generator=rng, context=context)
            check(bool(finite_rows(forgery.rows).all()), f"{self.attacking.name} gave rows that are not finite")
        except Exception as error:  # a user's own attack may fail in any way: the training goes on
            log.warning("RedTeam: round %d goes on without the attack: %s", server_round, error)
            return None, str(error)
        received.rows[:byzantine] = forgery.rows
        return forgery, ""

    def _replaced(self, replies: Sequence[Message], received: Received, forgery: Forgery) -> list[Message]:
        """The replies in the order in which they came, the trained arrays of the Byzantine ones forged."""
        changed: dict[int, Message] = {}
        arrays, equal = self.layout.forged(forgery.rows[0]), forgery.rows.stride(0) == 0
        for reply, row in zip(received.replies, forgery.rows, strict=False):
            arrays = arrays if equal else self.layout.forged(row)
            changed[id(reply)] = self.carrying(reply, ArrayRecord({**arrays_of(reply), **arrays}))
        return [changed.get(id(reply), reply) for reply in replies]

    def _measured(
        self, received: Received, byzantine: int, forgery: Forgery | None, arrays: ArrayRecord | None, server_round: int
    ) -> dict[str, Any]:
        n = len(received.replies)
        if byzantine == n:
            return {"rows": n, "byzantine_rows": byzantine, "byzantine_share": None, "lens": None, "rules": {}}
        step = self._step(arrays)
        scene = Scene(received.rows, received.nodes, byzantine, None)
        weights = self._said(received.nodes)
        found, skew = measured(scene, step, weights, self.rules, self.seed, server_round, self._failed)
        if forgery and not any("pictures" in seen for seen in self.trail.rounds):
            drawn = pictures(server_round - 1, Rows(scene.rows), byzantine, skew.members, step)
            found["pictures"] = [picture.to_json() for picture in drawn]
        return found

    def _failed(self, rule: str, error: Exception) -> None:
        """Say once that a rule cannot be measured."""
        if rule not in self.failed:
            self.failed.add(rule)
            log.warning("RedTeam: the rule %s fails, and is not measured: %s", rule, error)

    def _step(self, arrays: ArrayRecord | None) -> Tensor | None:
        """What the strategy took off the model: (d,), None if it made no finite model of the same shape."""
        if arrays is None:
            return None
        step, statistics = torch.empty(self.layout.d), torch.empty(self.layout.b)
        return step if self.layout.read(arrays, step, statistics) is None else None

    def _said(self, nodes: Sequence[int]) -> Tensor | None:
        """The weights that our own Robust gave; Flower's strategies do not say."""
        given = self.strategy.rounds[-1]["weights"] if isinstance(self.strategy, Robust) else None
        return None if given is None else torch.tensor([given.get(node, 0.0) for node in nodes], dtype=torch.float64)

    def summary(self) -> None:
        """Log what is played, and the strategy's own summary."""
        log.info("\t├──> RedTeam: attack = %s, byzantine = %s", self.attacking.name, self.byzantine)
        super().summary()


def name_of(strategy: Strategy) -> str:
    """What a reader calls the strategy: Robust names its rule and what stands in it."""
    name = type(strategy).__name__
    return f"{name}({name_of(strategy.strategy)}, {strategy.rule.name})" if isinstance(strategy, Robust) else name


def base_of(strategy: Strategy) -> str:
    """The strategy that Robust may stand around to defend this federation: its own, if that averages."""
    if isinstance(strategy, Robust):
        return base_of(strategy.strategy)
    return type(strategy).__name__ if averages(strategy) else "FedAvg"


def _untold(*_: Any, **__: Any) -> Tensor:
    raise InputError("a Flower strategy cannot be tried out by an attack")
