"""An attack on the user's own federation, in its server process, on the replies that it received."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import aggregators, attacks
from ..aggregators import Aggregator
from ..attacks import Attack, Forgery
from ..core.errors import InputError, ceil_share, check, check_choice, check_count_or_share, check_number, plain
from ..core.html import html_table
from ..core.randomness import generator
from ..core.rows import Rows
from ..federation.schedule import rounds_of, short_form
from ..skew import pictures
from .findings import Findings
from .forging import Forger, check_attack
from .interface import VERSION, ArrayRecord, ConfigRecord, Grid, Message, MetricRecord, Result, Strategy, log
from .journal import Journal
from .measure import Meter, Scene
from .robust import Robust, base_of, name_of
from .rows import KNOWN, STATISTICS, printable, receive
from .training import Training
from .wrapper import Wrapper

RULES = ("mean", "median", "rbtm", "multikrum", "rfa", "aksel", "dnc", "nnm+median", "nnm+multikrum", "nnm+rfa")
EvaluateFn = Callable[[int, ArrayRecord], MetricRecord | None]


class RedTeam(Wrapper):
    """Measure what an attack would do to the federation that this strategy serves.

    Some clients, drawn once among those connected in the first round, count as Byzantine: before the strategy gets
    their replies, the trained arrays in them are replaced by what the attack forges from all replies. Nothing else
    changes, nothing leaves the server process, and the clients do not notice. `start` trains twice, first without the
    attack, and returns the result of that first training: the model to keep. The difference is the cost of the attack.

    attack: a name such as "lie(z=1.0)", an Attack or a function. byzantine: how many clients, or their share,
    rounded up. rules: which of ours to try on each round's replies. reference: whether to train without the attack
    first; if not, `start` returns the attacked model. known: the rows that the attack takes for honest, all `honest`
    ones or the Byzantine clients' `own`. attack_rounds: START:STOP:EVERY, the rounds of the attack, counted from 0;
    None for all. out: the folder of report.html and rounds.json. statistics: as in `Robust`.
    """

    def __init__(
        self,
        strategy: Strategy,
        attack: str | Attack | Callable[..., Any] = "strike",
        byzantine: float = 0.2,
        *,
        rules: Sequence[str | Aggregator | Callable[..., Any]] = RULES,
        reference: bool = True,
        known: str = "honest",
        attack_rounds: str | None = None,
        out: Path | str = "gradskew-flower",
        statistics: Sequence[str] = STATISTICS,
        seed: int = 0,
    ):
        super().__init__(strategy, statistics)
        check(not isinstance(strategy, RedTeam), "one RedTeam at a time: it wraps your strategy or Robust")
        self.attack = copy.deepcopy(attacks.make(attack))
        check_attack(self.attack, strategy)
        byzantine, seed = plain(byzantine), plain(seed)
        check_count_or_share("byzantine", byzantine)
        nobody = "byzantine must be above 0: without a Byzantine client there is no attack; attack='none' only measures"
        check(byzantine > 0 or self.attack.key == "none", nobody)
        check(not isinstance(rules, str), "rules must be a list of names")
        self.rules = [copy.deepcopy(aggregators.make(rule)) for rule in rules]
        check_number("seed", seed, at_least=0, whole=True)
        check_choice("known", known, ("honest", "own"))
        self.known, self.attack_rounds = known, rounds_of(attack_rounds)
        for each in self.rules:
            KNOWN.check_has(each.needs, each.name)
        self.meter = Meter(self.rules, seed)
        self.byzantine, self.reference, self.seed = byzantine, reference, seed
        self.chosen: frozenset[int] | None = None
        self.forger = self._forger(self.attack)
        settings = {"strategy": name_of(strategy), "attack": self.attack.name, "byzantine": byzantine, "seed": seed}
        settings |= {"known": known} if known != "honest" else {}
        settings |= {"attack_rounds": rounds} if (rounds := short_form(attack_rounds)) else {}
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
        """Train without the attack, then with it; return the result of the first training."""
        self.journal.trainings.clear()
        self.journal.settings["rounds"] = plain(num_rounds)
        results = []
        evaluate = None if evaluate_fn is None else self._recording(evaluate_fn)
        try:
            for attack, strategy in self._trainings():
                self.strategy = strategy
                self.begin(attack)
                log.info("RedTeam: training under attack = %s", attack.name)
                configs = (copy.deepcopy(train_config), copy.deepcopy(evaluate_config))
                results.append(super().start(grid, initial_arrays, num_rounds, timeout, *configs, evaluate))
        except BaseException as error:
            self.training.ended = printable(f"{type(error).__name__}: {error}")
            raise
        finally:
            self.journal.write(last=True)
        log.info("RedTeam: the report is %s", self.journal.folder / "report.html")
        return results[0]

    def _trainings(self) -> list[tuple[Attack, Strategy]]:
        """Return the attack of each training and a strategy that has had no round."""
        if not self.reference or self.attack.key == "none":
            return [(self.attack, self.strategy)]
        try:
            return [(attacks.make("none"), self.strategy), (self.attack, copy.deepcopy(self.strategy))]
        except Exception as error:  # whatever a user's strategy holds on to
            log.warning("RedTeam: no training without the attack, as the strategy cannot be copied: %s", error)
            return [(self.attack, self.strategy)]

    def begin(self, attack: Attack) -> None:
        """Begin a training under this attack."""
        self.forger = self._forger(attack)
        attack.reset()
        attack.begin(self.seed)
        self.journal.trainings.append(Training(attack.name))

    def _forger(self, attack: Attack) -> Forger:
        return Forger(attack, self.attack_rounds, self.known, self.seed)

    @property
    def training(self) -> Training:
        """The training that runs; a loop without `start` begins it here."""
        if not self.journal.trainings:
            self.begin(self.attack)
        return self.journal.trainings[-1]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the strategy's own messages; in the first round, draw the Byzantine clients."""
        self.training.begun = server_round
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
        try:
            self.attack.check_setting("flower", honest=count if self.known == "own" else len(nodes) - count)
        except InputError as error:  # known only now: the training goes on
            log.warning("RedTeam: %s", error)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return what the strategy makes of the replies with the forged ones among them."""
        # Step 1: read the replies, Byzantine rows first.
        replies, chosen = list(replies), self.chosen or frozenset()

        def place(reply: Message) -> tuple[bool, int]:
            node = reply.metadata.src_node_id
            return node not in chosen, node

        received = receive(self.layout, sorted(replies, key=place))
        byzantine = sum(node in chosen for node in received.nodes)
        scene = Scene(server_round, received.rows, received.nodes, byzantine, received.layout)
        self.log_rejected(received.rejected, "is not measured")
        # Step 2: forge rows, and let the strategy aggregate the replies that carry them.
        forgery, forged, why = self.forger.forge(scene, received.layout, self.strategy)
        sent = self.with_forged(replies, received, forged)
        arrays, metrics = self.strategy.aggregate_train(server_round, sent)
        # Step 3: measure the round and keep it.
        called: dict[str, Any] = {"called": forgery is not None, **({"why": why} if why else {})}
        kept = {"round": server_round - 1, "rejected": {str(node): why for node, why in received.rejected.items()}}
        kept |= {"attack": called | (dict(forgery.notes) if forgery else {}), "metrics": {}}
        step = None if arrays is None else received.layout.step(arrays)
        kept |= self._measured(scene, forgery, step)
        self.training.rounds.append(kept)
        self.training.add(server_round, "train", metrics)
        self.journal.write()
        return arrays, metrics

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return the strategy's own metrics, and keep them."""
        metrics = super().aggregate_evaluate(server_round, replies)
        self.training.add(server_round, "clients", metrics)
        return metrics

    def _recording(self, evaluate_fn: EvaluateFn) -> EvaluateFn:
        def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
            metrics = evaluate_fn(server_round, arrays)
            self.training.add(server_round, "server", metrics)
            return metrics

        return evaluate

    def _measured(self, scene: Scene, forgery: Forgery | None, step: Tensor | None) -> dict[str, Any]:
        """Return the measures of the round as a JSON object, with pictures in the first round that was attacked."""
        n, byzantine = len(scene.rows), scene.byzantine
        if byzantine == n:
            return {"rows": n, "byzantine_rows": byzantine, "byzantine_share": None, "lens": None, "rules": {}}
        weights = self.strategy.weights_of(scene.nodes) if isinstance(self.strategy, Robust) else None
        measures, skew = self.meter.measure(scene, step, weights)
        if forgery and not any("pictures" in each for each in self.training.rounds):
            drawn = pictures(scene.number - 1, Rows(scene.rows), byzantine, skew.members, step)
            measures["pictures"] = [picture.to_json() for picture in drawn]
        return measures

    def summary(self) -> None:
        """Log the attack, and the strategy's own summary."""
        log.info("\t├──> RedTeam: attack = %s, byzantine = %s", self.forger.attack.name, self.byzantine)
        super().summary()

    def __repr__(self) -> str:
        return f"RedTeam({self.journal.settings['strategy']} under {self.attack.name}, byzantine={self.byzantine})"

    def _repr_html_(self) -> str:
        findings = Findings(self.journal.settings, self.journal.trainings) if self.journal.trainings else None
        rows = [(key, str(self.journal.settings[key])) for key in ("strategy", "attack", "byzantine", "seed")]
        rows += [(f"rounds {training.under}", str(len(training.rounds))) for training in self.journal.trainings]
        verdict = " ".join(findings.verdict) if findings else "No round has begun."
        return f"{html_table('RedTeam', rows)}<p>{escape(verdict)}</p>"
