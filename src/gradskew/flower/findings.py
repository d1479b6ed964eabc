"""What a red team's trainings show, in sentences: the verdict, and what did not go as planned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..federation.curve import still_rises
from ..report.described import count
from ..report.verdict import not_played
from .training import Training

SOURCES = {"server": "the server", "clients": "the clients", "train": "the clients, while training"}
LOSSES = ("loss", "error", "perplexity", "mse", "mae")  # in the name of a metric of which less is better
MEAN = "mean"  # is no defence, and never advised
NO_BETTER = 0.9  # of the strategy's kappa: a rule with more is no better than the strategy
OWN_STEP = 0.5  # of the kappa under attack: a strategy with more of it without attack moves by a step of its own


@dataclass(frozen=True)
class Findings:
    """What the trainings show. settings: as `rounds.json` has them. trainings: the last one is under the attack."""

    settings: Mapping[str, Any]
    trainings: Sequence[Training]

    @property
    def attacked(self) -> Training:
        return self.trainings[-1]

    @property
    def reference(self) -> Training | None:
        """The training without attack, cut to as many rounds as the attacked one has; None if there is none."""
        return self.trainings[0].first(len(self.attacked.rounds)) if len(self.trainings) > 1 else None

    @property
    def attack(self) -> str:
        return str(self.settings["attack"])

    @property
    def under(self) -> str:
        return "without an attack" if self.attack == "none" else f"under {self.attack}"

    @property
    def setting(self) -> str:
        nodes, chosen = self.settings["nodes"], self.settings["chosen"]
        rounds = count(len(self.attacked.rounds), "round")
        return f"{len(chosen)} of {count(len(nodes), 'client')} count as Byzantine; {rounds}."

    @property
    def verdict(self) -> list[str]:
        """The metric with and without the attack, how far it pushed the strategy, and the rule that it pushed least."""
        if self.attacked.attack != self.attack:
            return ["The training under the attack has not begun."]
        if self._not_applied:
            return [f"{self.attack} was applied in no round: {self._not_applied}."]
        sentences = [self._cost] if self._cost else []
        pushed = self._kappa(self.attacked)
        if pushed is not None:
            alone = self._kappa(self.reference)
            before = "" if alone is None else f" ({number(alone)} without attack)"
            strategy = f"{self.settings['strategy']} lies at kappa {number(pushed)} {self.under}{before}"
            sentences.append(f"{strategy}: 0 is the mean of the honest updates, 1 as far off as a typical one.")
        if self._steps_by_itself:
            own = "That is about as far without the attack: it is the strategy's own step on the server, not the push."
            sentences.append(f"{own} So single rounds of other rules cannot be compared with it, and none is advised.")
        else:
            sentences += self._advice(pushed)
        if not sentences:
            return ["No round could be measured."]
        return sentences if self.attack == "none" else [*sentences, self._scope, *self._harder_question]

    @property
    def _scope(self) -> str:
        """The attack that was played, and the known ones that were not."""
        return f"Attacks played: {self.attack}.{not_played([self.attack.partition('(')[0]])}"

    @property
    def _harder_question(self) -> list[str]:
        """The attack that searches against the rule of a strategy, where the strategy has one of ours; else nothing."""
        asked = self.attack.startswith("adaptive") or not self.settings["strategy"].startswith("Robust(")
        return [] if asked else ['The harder question: RedTeam(..., attack="adaptive(aim=stop)") asks the rule.']

    def _advice(self, pushed: float | None) -> list[str]:
        """Name the rule that was pushed least. pushed: the kappa of the strategy. The plain mean is no defence."""
        means = {rule: self._kappa(self.attacked, rule) for rule in self.attacked.rules()}
        kappas = {rule: kappa for rule, kappa in means.items() if kappa is not None}
        mean = kappas.pop(MEAN, None)
        if not kappas:
            return []
        best, least = min(kappas.items(), key=lambda each: each[1])
        basis = "" if self.attack == "none" else f" This is kappa in single rounds under {self.attack}, no accuracy."
        sentences = [f"On the same replies {best} is pushed least of the robust rules, to {number(least)}.{basis}"]
        if mean is not None and mean < least:
            sentences.append(f"The plain mean is pushed less, to {number(mean)}, but other attacks push it anywhere.")
        if self.attack == "none":
            return sentences
        if pushed is not None and least > NO_BETTER * pushed:
            return [
                *sentences,
                "That is no better: on these replies no robust rule that was tried beats your strategy.",
            ]
        inside = f'Robust({self.settings["base"]}(...), "{best}", f={self._f})'
        return [*sentences, f"To see what it saves, train with {inside} inside RedTeam."]

    @property
    def _f(self) -> float:
        """The f for a rule: the number of Byzantine nodes, or their share where a round has a sample of the nodes."""
        chosen, nodes = len(self.settings["chosen"]), len(self.settings["nodes"])
        if all(each["rows"] + len(each["rejected"]) >= nodes for each in self.attacked.rounds):
            return chosen
        asked = self.settings["byzantine"]
        return asked if isinstance(asked, float) else math.ceil(Fraction(100 * chosen, nodes)) / 100

    @property
    def _not_applied(self) -> str | None:
        """Why the attack was applied in no round; None if it was, or if there is none to apply."""
        calls = [each["attack"] for each in self.attacked.rounds]
        if self.attack == "none" or not calls or any(call["called"] for call in calls):
            return None
        return str(calls[0]["why"])

    @property
    def _steps_by_itself(self) -> bool:
        """Whether the strategy goes about as far from the mean without attack, as a server optimizer does."""
        alone, pushed = self._kappa(self.reference), self._kappa(self.attacked)
        shares = [each["byzantine_share"] for each in self.attacked.rounds]
        averages = 2 * sum(share is not None for share in shares) >= len(shares)
        return not averages and alone is not None and pushed is not None and alone >= OWN_STEP * pushed

    @property
    def _cost(self) -> str | None:
        """The metric that counts at the end of both trainings: an accuracy if there is one, the server's first."""
        metrics = sorted(self.attacked.metrics(), key=lambda each: ("acc" not in each[1], list(SOURCES).index(each[0])))
        if not metrics or self.reference is None:
            return None
        source, name = metrics[0]
        before, after = (training.final(source, name) for training in (self.reference, self.attacked))
        measured = f"{name}, measured by {SOURCES[source]}"
        ends = f"{number(before)} without attack, {number(after)} {self.under} (one training each)"
        if self.still_improves(source, name):
            way = "falls" if is_loss(name) else "rises"
            return f"{measured}, still {way} at the end: {ends}. No cost is given: train for more rounds."
        return f"{measured}: {ends}."

    def still_improves(self, source: str, name: str) -> bool:
        """Return whether a metric still gets better at the end of a training, with the attack or without."""
        return any(self._improves(training, source, name) for training in (self.reference, self.attacked) if training)

    def has_ended(self, source: str, name: str) -> bool:
        """Return whether a metric is known to have stopped getting better: it has two values or more each time."""
        series = [training.series(source, name)[1] for training in (self.reference, self.attacked) if training]
        return all(len(values) > 1 for values in series) and not self.still_improves(source, name)

    def _improves(self, training: Training, source: str, name: str) -> bool:
        """Return whether a metric still rises, or a loss falls, in percent of its largest value in all trainings."""
        largest = max((abs(value) for each in self.trainings for value in each.series(source, name)[1]), default=0)
        rounds, values = training.series(source, name)
        if not values or not 0 < largest < math.inf:
            return False
        percent = 100 / largest * (-1 if is_loss(name) else 1)
        return still_rises(rounds, [percent * value for value in values])

    @property
    def remarks(self) -> list[str]:
        return [sentence for training in self.trainings for sentence in self._remarks(training)]

    def _remarks(self, training: Training) -> list[str]:
        sentences, under, rounds = [], training.under, training.rounds
        if training.ended:
            sentences.append(f"The training {under} ended in round {training.begun}: {training.ended}.")
        planned = self.settings.get("rounds", 0)
        if len(rounds) < planned:
            beside = ", and is compared with as many without attack" if training is not self.trainings[0] else ""
            sentences.append(f"The training {under} is unfinished: it has {len(rounds)} of {planned} rounds{beside}.")
        skipped = [each["attack"]["why"] for each in rounds if each["attack"].get("why")]
        if skipped:
            sentences.append(f"{count(len(skipped), 'round')} went on without the attack: {skipped[0]}.")
        rejected = [reason for each in rounds for reason in each["rejected"].values()]
        if rejected:
            unused = f"{len(rejected)} of the replies {under} could not be used: the first had {rejected[0]}"
            sentences.append(f"{unused}. The strategy got them as they were.")
        without_model = sum(each["lens"] is not None and each["lens"]["kappa"] is None for each in rounds)
        if without_model:
            where = f"In {count(without_model, 'round')} {under}"
            sentences.append(f"{where} the strategy gave no model that could be measured.")
        return sentences

    @staticmethod
    def _kappa(training: Training | None, rule: str | None = None) -> float | None:
        return None if training is None else training.mean(rule, "kappa")


def is_loss(name: str) -> bool:
    """Return whether less of a metric is better, by its name."""
    return any(word in name.lower() for word in LOSSES)


def number(value: float | None) -> str:
    """Format a number with three digits, a missing one as a dash."""
    return "–" if value is None else f"{value:.3g}"
