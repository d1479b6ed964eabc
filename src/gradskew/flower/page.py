"""The red team's report.html, made of its journal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from statistics import fmean
from typing import Any

from markupsafe import Markup

from ..report import page
from ..report.lens import Lens, Overview
from ..report.page import svg
from ..report.page.cells import KINDS, plane
from ..report.table import count
from ..runs.record import Record
from ..skew import Picture
from ..skew.references import Measure, reading
from ..skew.statistics import Estimate
from .trail import Trail

SOURCES = {"server": "the server", "clients": "the clients", "train": "the clients, while training"}
MEAN = "mean"
NO_BETTER = 0.9  # of the strategy's kappa: a rule that is pushed that far has not held
OWN_STEP = 0.5  # of a kappa under attack that is there without one: it is then no measure of the push


@dataclass(frozen=True)
class Cost:
    """A metric at the end, without the attack and under it, as text."""

    name: str
    source: str
    before: str
    after: str
    difference: str


def report(settings: Mapping[str, Any], trails: Sequence[Trail]) -> str:
    """The page: what the attack costs, which rule would have held, how skewed the honest updates are."""
    audit = Audit(settings, trails)
    return page.render("flower.html", title=audit.title, audit=audit)


@dataclass(frozen=True)
class Audit:
    """What the page says."""

    settings: Mapping[str, Any]
    trails: Sequence[Trail]

    @property
    def attack(self) -> str:
        return str(self.settings["attack"])

    @property
    def under(self) -> str:
        return "without an attack" if self.attack == "none" else f"under {self.attack}"

    @property
    def title(self) -> str:
        return f"{self.settings['strategy']} {self.under}"

    @cached_property
    def reference(self) -> Trail | None:
        """The training without the attack, if there is another one under it, and as far as that has come."""
        return self.trails[0].first(len(self.attacked.rounds)) if len(self.trails) > 1 else None

    @property
    def attacked(self) -> Trail:
        return self.trails[-1]

    @property
    def setting(self) -> str:
        nodes, chosen = self.settings["nodes"], self.settings["chosen"]
        rounds = count(len(self.attacked.rounds), "round")
        return f"{len(chosen)} of {count(len(nodes), 'client')} count as Byzantine; {rounds}."

    @property
    def verdict(self) -> list[str]:
        """What it costs, how far the strategy was pushed, and the rule that was pushed least."""
        if self.attacked.attack != self.attack:
            return ["The training under the attack has not begun."]
        if self._unplayed:
            return [f"{self.attack} was played in no round: {self._unplayed}."]
        said = [*filter(None, [self._cost])]
        pushed = self._kappa(self.attacked, None)
        if pushed is not None:
            alone = self._kappa(self.reference, None)
            before = "" if alone is None else f" ({_number(alone)} without attack)"
            where = f"{self.settings['strategy']} lies at kappa {_number(pushed)} {self.under}{before}"
            said.append(f"{where}: 0 is the mean of the honest updates, 1 as far off as a typical one.")
        if self._steps_by_itself:
            own = "That is about as far without the attack: it is the strategy's own step on the server, not the push."
            return [*said, f"{own} So single rounds of other rules cannot be compared with it, and none is advised."]
        return [*said, *self._held(pushed)] or ["No round could be measured."]

    def _held(self, pushed: float | None) -> list[str]:
        """Which rule would have held, beside a strategy that was pushed to this kappa. The plain mean is no defence."""
        found = {rule: kappa for rule in self._rules if (kappa := self._kappa(self.attacked, rule)) is not None}
        mean = found.pop(MEAN, None)
        if not found:
            return []
        best = min(found, key=lambda rule: found[rule])
        said = [f"On the same replies {best} is pushed least of the robust rules, to {_number(found[best])}."]
        if mean is not None and mean < found[best]:
            said.append(f"The plain mean is pushed less, to {_number(mean)}, but other attacks push it anywhere.")
        if self.attack == "none":
            return said
        if pushed is not None and found[best] > NO_BETTER * pushed:
            return [*said, "That is no better: on these replies no robust rule that was tried beats your strategy."]
        inside = f'Robust({self.settings["base"]}(...), "{best}", f={self._f})'
        return [*said, f"To see what it saves, train with {inside} inside RedTeam."]

    @property
    def _f(self) -> float:
        """What to tell a rule: how many are Byzantine, or, where a round has but a sample of the nodes, their share."""
        count, nodes = len(self.settings["chosen"]), len(self.settings["nodes"])
        if all(seen["rows"] + len(seen["rejected"]) >= nodes for seen in self.attacked.rounds):
            return count
        told = self.settings["byzantine"]
        return told if isinstance(told, float) else math.ceil(Fraction(100 * count, nodes)) / 100

    @property
    def _unplayed(self) -> str | None:
        """Why there was no attack, if there was none in any round."""
        played = [seen["attack"] for seen in self.attacked.rounds]
        never = self.attack != "none" and played and not any(each["called"] for each in played)
        return str(played[0]["why"]) if never else None

    @property
    def _steps_by_itself(self) -> bool:
        """Whether the strategy, as a server optimizer does, goes as far from the average on its own."""
        alone, pushed = self._kappa(self.reference, None), self._kappa(self.attacked, None)
        shares = [seen["byzantine_share"] for seen in self.attacked.rounds]
        averages = 2 * sum(share is not None for share in shares) >= len(shares)
        return not averages and alone is not None and pushed is not None and alone >= OWN_STEP * pushed

    @property
    def _cost(self) -> str | None:
        """What the attack does to the metric that counts: an accuracy if there is one, the server's first."""
        names = sorted(self.attacked.names(), key=lambda each: ("acc" not in each[1], list(SOURCES).index(each[0])))
        if not names or self.reference is None:
            return None
        kind, name = names[0]
        before, after = (trail.final(kind, name) for trail in (self.reference, self.attacked))
        source = SOURCES[kind]
        return f"{self.attack} takes {name}, measured by {source}, from {_number(before)} to {_number(after)}."

    @property
    def remarks(self) -> list[str]:
        """What did not go as planned."""
        said = []
        for trail in self.trails:
            under = f"under {trail.attack}" if trail.attack != "none" else "without attack"
            if trail.ended:
                said.append(f"The training {under} ended in round {trail.begun}: {trail.ended}.")
            planned = self.settings.get("rounds", 0)
            if len(trail.rounds) < planned:
                beside = ", and is compared with as many without attack" if trail is not self.trails[0] else ""
                said.append(
                    f"The training {under} is unfinished: it has {len(trail.rounds)} of {planned} rounds{beside}."
                )
            idle = [seen for seen in trail.rounds if seen["attack"].get("why")]
            if idle:
                said.append(f"{count(len(idle), 'round')} went on without the attack: {idle[0]['attack']['why']}.")
            rejected = [why for seen in trail.rounds for why in seen["rejected"].values()]
            if rejected:
                left = f"{len(rejected)} of the replies {under} could not be used: the first had {rejected[0]}"
                said.append(f"{left}. The strategy got them as they were.")
            still = sum(seen["lens"] is not None and seen["lens"]["kappa"] is None for seen in trail.rounds)
            if still:
                said.append(f"In {count(still, 'round')} {under} the strategy gave no model that could be measured.")
        return said

    @property
    def costs(self) -> list[Cost]:
        made = []
        for kind, name in self.attacked.names():
            before = self.reference.final(kind, name) if self.reference else None
            after = self.attacked.final(kind, name)
            change = None if before is None or after is None else after - before
            difference = "–" if change is None else f"{change:+.3g}"
            made.append(Cost(name, SOURCES[kind], _number(before), _number(after), difference))
        return made

    @property
    def figures(self) -> list[tuple[Markup, str]]:
        grey = " Grey: without the attack." if self.reference else ""
        drawn = []
        for kind, name in self.attacked.names():
            lines = [self._line(trail, *trail.series(kind, name)) for trail in self.trails]
            drawn.append((svg.lines(f"{name} by round", lines), f"{name}, measured by {SOURCES[kind]}.{grey}"))
        seen = zip(self.trails, self._lenses, strict=True)
        kappa = [self._line(trail, lens.rounds, lens.series("kappa")) for trail, lens in seen]
        caption = "How far the strategy's model lies from the mean of the honest updates (kappa)."
        drawn.append((svg.lines("kappa by round", kappa, at_least=0), caption + grey))
        share = [
            None if (value := seen.get("byzantine_share")) is None else 100 * value for seen in self.attacked.rounds
        ]
        rounds = [seen["round"] for seen in self.attacked.rounds]
        line = svg.Line("weight", "first", rounds, share)
        caption = "Weight of the Byzantine clients in %, as far as the strategy averages."
        drawn.append((svg.lines("Weight of the Byzantine clients", [line], at_least=0), caption))
        return [(chart, text) for chart, text in drawn if chart]

    def _line(self, trail: Trail, rounds: Sequence[int], values: svg.Values) -> svg.Line:
        pale = trail is not self.attacked
        return svg.Line("without the attack" if pale else trail.attack, "pale" if pale else "first", rounds, values)

    @property
    def rules(self) -> list[list[str]]:
        """For each rule: kappa on average, at most, and without the attack; the Byzantine weight; clients shut out."""
        rows = []
        for rule in self._rules:
            kappas = self._of(self.attacked, rule, "kappa")
            share, shut_out = (_mean(self._of(self.attacked, rule, key)) for key in ("byzantine_share", "shut_out"))
            numbers = [_mean(kappas), max(kappas, default=None), self._kappa(self.reference, rule)]
            numbers += [None if share is None else 100 * share, shut_out]
            rows.append((numbers[0], [rule, *(_number(number) for number in numbers)]))
        return [row for _, row in sorted(rows, key=lambda each: (each[0] is None, each[0] or 0.0))]

    @property
    def even(self) -> str:
        shares = [100 * seen["byzantine_rows"] / seen["rows"] for seen in self.attacked.rounds if seen["rows"]]
        return _number(_mean(shares))

    @property
    def skew(self) -> list[tuple[Measure, Estimate]]:
        """The numbers on the honest updates, of the training without the attack if there was one."""
        return self._overview.values

    @property
    def measured(self) -> str:
        return "without the attack" if self.reference else self.under

    @property
    def supposed(self) -> str:
        return self._overview.supposed

    @property
    def reading(self) -> str:
        return reading(self.skew)

    @property
    def portrait(self) -> tuple[Markup, int] | None:
        drawn = [Picture.from_json(each) for seen in self.attacked.rounds for each in seen.get("pictures", ())]
        found = [picture for picture in drawn if picture.method == "lle"]
        return (plane(found[0]), found[0].round + 1) if found else None

    @property
    def legend(self) -> list[tuple[str, Markup]]:
        return [(name, svg.mark(look)) for name, look in KINDS]

    @property
    def made(self) -> list[tuple[str, str]]:
        chosen = ", ".join(map(str, self.settings["chosen"]))
        shown = [(key, str(value)) for key, value in self.settings.items() if key not in ("base", "nodes", "chosen")]
        return [*shown, ("Byzantine nodes", chosen or "none")]

    @cached_property
    def _lenses(self) -> list[Lens]:
        return [Lens(Record({}, trail.rounds, "")) for trail in self.trails]

    @cached_property
    def _overview(self) -> Overview:
        return Overview(self._lenses[:1])

    @property
    def _rules(self) -> list[str]:
        return list(dict.fromkeys(rule for seen in self.attacked.rounds for rule in seen["rules"]))

    def _kappa(self, trail: Trail | None, rule: str | None) -> float | None:
        """The mean kappa of a rule, or of the strategy itself."""
        return None if trail is None else _mean(self._of(trail, rule, "kappa"))

    @staticmethod
    def _of(trail: Trail, rule: str | None, key: str) -> list[float]:
        found = [seen["lens"] if rule is None else seen["rules"].get(rule) for seen in trail.rounds]
        return [each[key] for each in found if each is not None and each[key] is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
