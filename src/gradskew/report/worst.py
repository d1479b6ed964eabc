"""The worst that was found of each rule: its accuracy, and single rounds beside what is proven and what is possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .. import attacks
from ..core.errors import InputError
from ..runs.record import Record
from .cell import number_text
from .described import count
from .lens import Lens
from .played import Kind, is_monotone, kind_of
from .standing import Standing
from .table import Table

HEAD = (
    *("rule", "worst found %", "found by", "federations", "largest kappa in a round", "kappa by"),
    *("least progress in a round", "progress by", "proven kappa", "broken by one round"),
)
DEFINITION = (
    "Broken by one round: in some round the aggregate lies farther from the honest mean than every honest update."
)


@dataclass(frozen=True)
class WorstRound:
    """The round of a rule's attacked runs in which a measure is at its worst. round: counted from 0."""

    value: float
    record: Record
    round: int

    @property
    def attack(self) -> str:
        return str(self.record.spec["attack_name"])

    @property
    def where(self) -> str:
        """Return the round, the seed and the attack as text."""
        return f"round {self.round + 1}, seed {self.record.spec['seed']}, {self.attack}"

    @property
    def run(self) -> str:
        """Return the beginning of the digest of the run, which names it in its folder."""
        return self.record.digest[:12]


@dataclass(frozen=True)
class WorstRounds:
    """The worst rounds of a rule over its attacked runs, each None where no record has the measure.

    kappa: the largest. progress: the least. reach: the largest distance of the aggregate from the honest mean, over
    that of the farthest honest update. bound: the largest kappa that was proven for a round.
    """

    kappa: WorstRound | None
    progress: WorstRound | None
    reach: WorstRound | None
    bound: float | None

    @property
    def broken(self) -> WorstRound | None:
        """Return the round that breaks the rule, in which `reach` is above 1; None without one: see `DEFINITION`."""
        return _if_breaking(self.reach)


def worst_rounds(standing: Standing) -> WorstRounds:
    """Return the worst rounds of a rule under all attacks."""
    records = [record for cell in standing.attacked.values() for record in cell.records]
    bounds = [
        value for cell in standing.attacked.values() for lens in cell.lenses for value in lens.series("kappa_bound")
    ]
    return WorstRounds(
        _largest(records, lambda lens: lens.column("kappa")),
        _largest(records, lambda lens: lens.column("progress"), sign=-1),
        _largest(records, _reach),
        max((value for value in bounds if value is not None), default=None),
    )


def _if_breaking(reach: WorstRound | None) -> WorstRound | None:
    return reach if reach is not None and reach.value > 1 else None


def _reach(lens: Lens) -> list[float | None]:
    distances = lens.record.columns["distance"]
    lengths = zip([distances[round] for round in lens.rounds], lens.column("farthest"), strict=True)
    return [distance / farthest if farthest and distance is not None else None for distance, farthest in lengths]


def _largest(
    records: Iterable[Record], measure: Callable[[Lens], Sequence[float | None]], sign: int = 1
) -> WorstRound | None:
    """Return the round of the largest value of a measure, of the least with sign = -1."""
    rounds = (
        (value, record, number)
        for record in records
        for lens in [Lens(record)]
        for number, value in zip(lens.rounds, measure(lens), strict=True)
        if value is not None
    )
    largest = max(rounds, key=lambda each: sign * each[0], default=None)
    return None if largest is None else WorstRound(*largest)


def found(standing: Standing) -> str:
    """Return the worst found of a rule as text: its accuracy, the number of federations and the attacks."""
    tried = count(standing.federations, "federation")
    return f"{standing.worst.text} %, worst found in {tried} ({', '.join(standing.finders)})"


def sheet(table: Table) -> tuple[Sequence[str], list[list[str]]]:
    """Return the head and the lines of the table of the worst found, rule by rule, without columns that say nothing."""
    others = [each for rule, each in table.standings.items() if rule not in table.defences]
    lines = [_texts(each) for each in [*table.ranked, *others]]
    known = [i for i in range(len(HEAD)) if any(line[i] != "–" for line in lines)]
    return [HEAD[i] for i in known], [[line[i] for i in known] for line in lines]


def _texts(standing: Standing) -> list[str]:
    """Return a rule's line, a text for each entry of `HEAD`."""
    rounds = worst_rounds(standing)
    bound, broken = rounds.bound, "–" if rounds.reach is None else "no"
    if rounds.broken is not None:
        far = f"{rounds.broken.value:.3g} times as far as the farthest"
        broken = f"{far}: {rounds.broken.where} (run {rounds.broken.run})"
    return [
        *(standing.rule, standing.worst.text, ", ".join(standing.finders), str(standing.federations)),
        *_value_and_attack(rounds.kappa),
        *_value_and_attack(rounds.progress),
        "–" if bound is None else "unbounded" if math.isinf(bound) else f"{bound:.2g}",
        broken,
    ]


def _value_and_attack(found: WorstRound | None) -> tuple[str, str]:
    if found is None:
        return "–", "–"
    return number_text(found.value), found.attack


def how_to_save(table: Table) -> str:
    """Return a sentence with the command that saves the rows of the round that breaks a rule most; "" without one."""
    cells = [cell for standing in table.standings.values() for cell in standing.attacked.values()]
    broken = _if_breaking(_largest((record for cell in cells for record in cell.records), _reach))
    if broken is None:
        return ""
    command = f"gradskew skew --record FOLDER/runs/{broken.run} --round {broken.round + 1}"
    return f"The rows of such a round, as a file: {command} (FOLDER: the --out of the runs)."


def least_kappa_text(table: Table) -> str:
    """Return a sentence on the least kappa that a rule can guarantee; "" where none can."""
    least = table.least_kappa
    return "" if not least else f"No rule can guarantee a kappa below f / (n - 2 f) = {least:.2f}."


def not_asked(table: Table) -> str:
    """Return a sentence on the attacks that search for the worst of a rule, if not all were played; else ""."""
    played = _searching(table)
    if table.standings and not played and not any(kind.searches for kind in _kinds(table)):
        return "None of them searches for the worst of a rule, so that no worst found is a worst case."
    missing = len(attacks.ADAPTIVE) - len(played)
    some = f"Not played: {missing} of the {len(attacks.ADAPTIVE)} attacks that search for the worst of a rule."
    return some if table.standings and missing else ""


def harder_question(tables: Iterable[Table], command: str = "gradskew bench", option: str = "--attacks") -> str:
    """Return the line on the attacks that search which were not played, or not with all their parts; "" for neither.

    "" without an attack, and for monotone rules alone, whose worst rows any search knows. command, option: of the line.
    """
    asked = [table for table in tables if table.standings]
    if any(map(not_asked, asked)):
        return f"The harder question: {command} with the same options and {option} worst"
    for table in asked:
        kinds = [*_kinds(table)]
        left = {kind.member for kind in kinds if kind.searches} - {kind.member for kind in kinds if kind.full}
        if left and not all(map(is_monotone, table.standings)):
            return f"A harder question still: {command} with the same options and {option} 'worst(effort=full)'"
    return ""


def is_bistable(table: Table) -> bool:
    """Return whether attacks that search were played with too few seeds to see both outcomes of a federation."""
    return bool(_searching(table)) and len(table.common_seeds) < attacks.WORST_SEEDS


def _searching(table: Table) -> list[str]:
    """Return the attacks of `attacks.ADAPTIVE` that were played, of any effort and number of tries."""
    met = {kind.member for kind in _kinds(table)}
    return [member for member in attacks.ADAPTIVE if attacks.make(member).name in met]


def _kinds(table: Table) -> Iterator[Kind]:
    """Yield the kinds of the attacks that were played; names of users' own that are outside the grammar have none."""
    for attack in table.attacks:
        with suppress(InputError):
            yield kind_of(attack)
