"""The section of report.html on what a red team measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any, ClassVar

from ..aggregators import least_kappa
from ..report.page import render
from ..report.page.parts import Figure, Series, Sheet, by_round, describe_plane, of_lenses
from ..report.page.skew import HonestSkew
from ..skew import Picture
from .findings import SOURCES, Findings, is_loss, number
from .training import Training

LEAD = (
    "What an attack did to this Flower federation in one training, and how far it pushed other rules in single rounds."
)


def report(settings: Mapping[str, Any], trainings: Sequence[Training]) -> str:
    """Return the page: what the attack did, how far it pushed other rules, how skewed the honest updates are."""
    section = FlowerSection(settings, trainings)
    return render([section], title=f"{settings['strategy']} {section.under}", lead=LEAD)


@dataclass(frozen=True)
class FlowerSection(Findings):
    """The findings with the tables and charts beside them."""

    template: ClassVar[str] = "flower.html"

    @property
    def costs(self) -> Sheet:
        """Each metric at the end; with a reference also without the attack, and the difference if both have ended."""
        if self.reference is None:
            rows = [[name, SOURCES[source], self._end(self.attacked, source, name)] for source, name in self._metrics]
            return Sheet(["metric", "measured by", self.under], rows)
        rows = []
        for source, name in self._metrics:
            before, after = (training.final(source, name) for training in (self.reference, self.attacked))
            change = None if before is None or after is None or not self.has_ended(source, name) else after - before
            ends = (self._end(training, source, name) for training in (self.reference, self.attacked))
            rows.append([name, SOURCES[source], *ends, "–" if change is None else f"{change:+.3g}"])
        return Sheet(["metric", "measured by", "without attack", self.under, "difference"], rows)

    @property
    def figures(self) -> list[Figure]:
        grey = " Grey: without the attack." if self.reference else ""
        drawn: list[Figure] = []
        for source, name in self._metrics:
            attacked, *other = (self._series(training, source, name) for training in reversed(self.trainings))
            chart = by_round(f"{name} by round", [attacked], other[0] if other else None, unit=name)
            way = "falls" if is_loss(name) else "rises"
            improves = f" It still {way} at the end." if self.still_improves(source, name) else ""
            drawn.append((chart, f"{name}, measured by {SOURCES[source]}.{improves}{grey}"))
        alone = [self.trainings[0].lens] if self.reference else []
        drawn += of_lenses([(self.attacked.attack, self.attacked.lens)], alone, self._least_kappa)
        return [(chart, caption) for chart, caption in drawn if chart]

    @property
    def rules(self) -> Sheet:
        """Each rule on the replies of the attacked rounds, the one that was pushed least first."""
        ranked = []
        for rule in self.attacked.rules():
            kappa, share = (self.attacked.mean(rule, key) for key in ("kappa", "byzantine_share"))
            largest = max(self.attacked.measured(rule, "kappa"), default=None)
            alone = self._kappa(self.reference, rule)
            numbers = [kappa, largest, alone, None if share is None else 100 * share]
            numbers.append(self.attacked.mean(rule, "shut_out"))
            ranked.append((kappa is None, kappa or 0.0, [rule, *map(number, numbers)]))
        head = ["rule", "kappa, mean", "kappa, largest", "kappa without attack", "Byzantine weight %"]
        rows = [texts for *_, texts in sorted(ranked, key=lambda each: each[:2])]
        return Sheet([*head, "honest clients shut out a round"], rows)

    @property
    def even(self) -> str:
        """The Byzantine clients' part of the replies, in percent, averaged over rounds."""
        shares = [100 * each["byzantine_rows"] / each["rows"] for each in self.attacked.rounds if each["rows"]]
        return number(fmean(shares) if shares else None)

    @cached_property
    def skew(self) -> HonestSkew:
        drawn = [Picture.from_json(each) for round in self.attacked.rounds for each in round.get("pictures", ())]
        first = min(drawn, key=lambda each: each.method == "lle", default=None)
        picture = None if first is None else (first, describe_plane(first, self.attack, self.settings["strategy"]))
        measured = self.trainings[0]
        return HonestSkew([measured.lens], f"the training {measured.under}", picture)

    @property
    def settings_shown(self) -> list[tuple[str, str]]:
        chosen = ", ".join(map(str, self.settings["chosen"]))
        shown = [(key, str(value)) for key, value in self.settings.items() if key not in ("base", "nodes", "chosen")]
        return [*shown, ("Byzantine nodes", chosen or "none")]

    @property
    def _least_kappa(self) -> float | None:
        """The least kappa that a rule can guarantee, if all rounds have as many replies and Byzantine ones."""
        sizes = {(each["rows"], each["byzantine_rows"]) for each in self.attacked.rounds}
        least = least_kappa(*sizes.pop()) if len(sizes) == 1 else math.inf
        return least if 0 < least < math.inf else None

    @property
    def _metrics(self) -> list[tuple[str, str]]:
        return self.attacked.metrics()

    def _end(self, training: Training, source: str, name: str) -> str:
        """Return a metric at the end as text, with an arrow if it still gets better."""
        arrow = " ↓" if is_loss(name) else " ↑"
        return number(training.final(source, name)) + arrow * self._improves(training, source, name)

    @staticmethod
    def _series(training: Training, source: str, name: str) -> Series:
        return (training.under, *training.series(source, name))
