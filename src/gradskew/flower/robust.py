"""One of our rules inside a Flower strategy that averages."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import aggregators
from ..aggregators import Aggregator, Mixed, Outcome, WeightedRule
from ..core.errors import ceil_share, check, check_count_or_share, check_number, plain
from ..core.randomness import generator
from ..core.rows import Rows
from .averaging import averages, form_of, not_finite
from .interface import ArrayRecord, Message, MetricRecord, RecordDict, Strategy, log
from .rows import KNOWN, STATISTICS, Layout, Received, receive, record
from .wrapper import Wrapper

EXAMPLES = "num-examples"  # the metric by which Flower's strategies weigh by default
MOST = 2**53  # examples that a client may claim: beyond, a sum of them is no longer exact


class Robust(Wrapper):
    """Put one of our rules inside a strategy that averages: FedAvg, FedProx, FedAvgM, FedAdam, a user's own.

    The rule aggregates differences, model sent - model received, one row for each client, unweighted. The strategy is
    then given replies that all carry the robust model, whatever their weights: its server step, its metrics and all
    else stay as they are. Replies that cannot be used are logged and left out. Arrays keep their types. What no client
    trains (integers, masks, arrays that most replies do not have) keeps the server's value.

    f: how many Byzantine clients the rule assumes, or their share of a round's replies, rounded up; if the replies of a
    round are too few for the rule to tolerate so many, the most that it tolerates. weighted: multiply the weights that
    the rule gives by the numbers of examples that the clients claim, which a Byzantine one may choose. statistics: the
    last parts of the names of batch norm's statistics, which are averaged and not given to the rule; empty for none.

    `rounds` has a dict for each round: weights by node, what was rejected and why, f, notes of the rule.
    """

    def __init__(
        self,
        strategy: Strategy,
        rule: str | Aggregator | Callable[..., Any] = "nnm+multikrum",
        *,
        f: float | None = None,
        weighted: bool = False,
        statistics: Sequence[str] = STATISTICS,
        seed: int = 0,
    ):
        super().__init__(strategy, statistics)
        check(
            averages(strategy),
            f"{type(strategy).__name__} does not average: Robust wants FedAvg or a strategy built on it",
        )
        self.rule = copy.deepcopy(aggregators.make(rule))
        replace(KNOWN, examples=torch.empty(0)).check_has(self.rule.needs, self.rule.name)
        self.rule.reset()
        meaning = "how many Byzantine clients the rule assumes, such as f=2, or their share, such as f=0.2"
        check(f is not None, f"Robust needs f: {meaning}")
        f, seed = plain(f), plain(seed)
        check_count_or_share("f", f)
        check(not weighted or weighs(self.rule), f"{self.rule.name} does not average rows: it cannot be weighted")
        check_number("seed", seed, at_least=0, whole=True)
        self.f, self.weighted, self.seed = f, weighted, seed
        self.rounds: list[dict[str, Any]] = []
        self.clamped = False

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the result of the strategy's own step, from the robust model instead of the average."""
        replies = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
        received = receive(self.layout, replies, self._refusal(replies))
        self._log_asked(received.layout)
        self.log_rejected(received.rejected, "is left out")
        n, f = len(received.replies), self.assumed_f(len(replies))
        used = min(f, self.rule.max_f(n)) if n else 0
        kept: dict[str, Any] = {"round": server_round, "rows": n, "rejected": dict(received.rejected), "f": used}
        self.rounds.append({**kept, "clamped": used < f, "weights": None, "rule": {}})
        if not n:
            log.warning("Robust: no reply can be used in round %d; the model stays as it is", server_round)
            return None, None
        if used < f and not self.clamped:
            self.clamped = True
            log.warning("Robust: of %d replies %s tolerates f = %d, not %d", n, self.rule.name, used, f)
        outcome = self._outcome(received, used, server_round)
        if outcome is None:
            return None, None
        weights = None if outcome.weights is None else dict(zip(received.nodes, outcome.weights.tolist(), strict=True))
        self.rounds[-1] |= {"weights": weights, "rule": dict(outcome.notes)}
        return self._step(server_round, received, outcome)

    def assumed_f(self, replies: int) -> int:
        """Return the number of Byzantine clients that the rule assumes in a round of so many replies."""
        return self.f if isinstance(self.f, int) else ceil_share(self.f, replies)

    def _log_asked(self, asked: Layout) -> None:
        """Log once in what the arrays of most replies differ from the model's."""
        model = self.layout
        self.log_once("keep the server's value: the replies do not have them", model.names - asked.names)
        self.log_once("are left aside: the model does not have them", asked.names - model.names)
        integers = asked.names.intersection(model.trained).difference(asked.trained)
        self.log_once("keep the server's value: the replies have other than floating numbers there", integers)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return the strategy's own metrics, of the replies whose metrics can be averaged."""
        replies = list(replies)
        refuse = self._refusal(replies)
        reasons = [refuse(reply.content) if reply.has_content() else None for reply in replies]  # errors are Flower's
        pairs = list(zip(replies, reasons, strict=True))
        self.log_rejected({reply.metadata.src_node_id: reason for reply, reason in pairs if reason}, "is left out")
        return self.strategy.aggregate_evaluate(server_round, [reply for reply, reason in pairs if not reason])

    def weights_of(self, nodes: Sequence[int]) -> Tensor | None:
        """Return the weights of these nodes in the last round, (n,) float64; None if the rule gave none."""
        weights = self.rounds[-1]["weights"]
        return None if weights is None else torch.tensor([weights.get(n, 0.0) for n in nodes], dtype=torch.float64)

    def _outcome(self, received: Received, f: int, server_round: int) -> Outcome | None:
        """Return the outcome of the rule on the rows; None, with a line in the log, if it cannot be used."""
        rng = generator(self.seed, "rule", server_round)
        try:
            round = received.layout.round(server_round, received.nodes)
            rows = Rows(received.rows, round=replace(round, examples=self._claimed(received)))
            outcome = self._weighted(rows, self.rule.explain(rows, f, generator=rng))
            check(bool(outcome.value.isfinite().all()), "the aggregate is not finite")
            self.rule.observe(outcome.value, rows=rows)
        except Exception as error:  # a user's own rule may fail in any way: the training goes on
            log.warning(
                "Robust: %s failed in round %d, the model stays as it is: %s", self.rule.name, server_round, error
            )
            return None
        return outcome

    def _weighted(self, rows: Rows, outcome: Outcome) -> Outcome:
        examples = rows.round.examples
        if not self.weighted or outcome.weights is None or examples is None:
            return outcome
        weights = outcome.weights * examples
        weights /= weights.sum()
        return Outcome(rows.combine(weights), weights, outcome.notes)

    def _claimed(self, received: Received) -> Tensor | None:
        """Return the numbers of examples that the clients claim (n,); None if neither strategy nor rule uses them."""
        if not self._counts:
            return None
        return torch.tensor([self._examples(reply.content) for reply in received.replies], dtype=torch.float64)

    @property
    def _counts(self) -> bool:
        """Whether numbers of examples are asked for."""
        return self.weighted or self.weight_key is not None or "examples" in self.rule.needs

    def _step(
        self, server_round: int, received: Received, outcome: Outcome
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Let the strategy average replies that all have the robust model: in float64, their average is exact.

        It gets all arrays, so that one which saves its model saves a whole one. Of its step only the trained ones are
        taken: a server optimizer would step statistics too, and turn infinity into NaN.
        """
        layout = received.layout
        after = layout.after(outcome.value, received.statistics.mean(0))
        model = record(
            {name: each.astype(np.float64) if each.dtype.kind == "f" else each for name, each in after.items()}
        )
        equal = [self.with_arrays(reply, model) for reply in received.replies]
        with np.errstate(all="ignore"):
            arrays, metrics = self.strategy.aggregate_train(server_round, equal)
        return None if arrays is None else layout.stepped(arrays, after), metrics

    def _refusal(self, replies: Sequence[Message]) -> Callable[[RecordDict], str | None]:
        """Return a function of a content: why the strategy cannot average it with the others, or None."""
        forms = Counter(form_of(reply.content) for reply in replies if reply.has_content())
        usual = forms.most_common(1)[0][0] if forms else ((), ())

        def reason(content: RecordDict) -> str | None:
            arrays, metrics = form_of(content)
            if arrays != usual[0]:
                return "another name of the record of arrays than most"
            examples = self._examples(content)
            if self._counts and not (isinstance(examples, int | float) and 0 < examples <= MOST):
                return f"{self.weight_key or EXAMPLES} = {examples!r}"
            return "other metrics than most" if metrics != usual[1] else not_finite(content)

        return reason

    @property
    def weight_key(self) -> str | None:
        """The name of the metric by which the strategy weighs, None if it has no such attribute."""
        key = getattr(self.strategy, "weighted_by_key", None)
        return key if isinstance(key, str) else None

    def _examples(self, content: RecordDict) -> Any:
        for metrics in content.metric_records.values():
            return metrics.get(self.weight_key or EXAMPLES)
        return None

    def summary(self) -> None:
        """Log the rule, and the strategy's own summary."""
        log.info("\t├──> Robust: %s, f = %s%s", self.rule.name, self.f, ", weighted" if self.weighted else "")
        super().summary()


def name_of(strategy: Strategy) -> str:
    """Return the name of the strategy for readers: Robust with its strategy and its rule."""
    name = type(strategy).__name__
    return f"{name}({name_of(strategy.strategy)}, {strategy.rule.name})" if isinstance(strategy, Robust) else name


def base_of(strategy: Strategy) -> str:
    """Return the name of the strategy to put into Robust: the user's own if it averages, else FedAvg."""
    if isinstance(strategy, Robust):
        return base_of(strategy.strategy)
    return type(strategy).__name__ if averages(strategy) else "FedAvg"


def weighs(rule: Aggregator) -> bool:
    """Whether the rule's aggregate is an average of rows by weights."""
    while isinstance(rule, Mixed):
        rule = rule.rule
    return isinstance(rule, WeightedRule)
