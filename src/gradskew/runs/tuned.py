"""The result of a study: its trials, and the best options as settings of `bench`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import check, plain
from .search import Dimension, filled, values_text


@dataclass(frozen=True)
class Trial:
    """A finished trial of a study. number: counted from 1.

    values: those of the search by name. accuracy: on the validation part in percent, the mean over seeds, under the
    attack for which it is lowest. attack: this attack.
    """

    number: int
    values: Mapping[str, Any]
    accuracy: float
    attack: str

    def __str__(self) -> str:
        under = "" if self.attack == "none" else f" under {self.attack}"
        return f"{values_text(self.values)}: {self.accuracy:.1f} %{under}"


@dataclass(frozen=True)
class Tuned:
    """The result of a study: its trials in order, and what they rest on.

    given: the options that were given. search: what was searched. seeds, attacks: those of the trials. validation: the
    share of the training inputs that was held out.
    """

    given: Mapping[str, Any]
    search: Sequence[Dimension]
    seeds: Sequence[int]
    attacks: Sequence[str]
    validation: float
    trials: Sequence[Trial]

    @property
    def best(self) -> Trial:
        """The trial of the largest accuracy; of equal ones the first."""
        return max(self.trials, key=lambda trial: trial.accuracy)

    @property
    def options(self) -> dict[str, Any]:
        """The options for `bench`: those that were given, the best values, and as many other seeds.

        The attacks are among them if they were given.
        """
        given = {name: value for name, value in self.given.items() if name != "validation"}
        first = max(self.seeds) + 1
        return {**filled(given, self.best.values), "seeds": list(range(first, first + len(self.seeds)))}

    @property
    def notes(self) -> list[str]:
        """Sentences on the best trial, and on what the choice rests on."""
        trials = f"{len(self.trials)} trial{'s' * (len(self.trials) > 1)}"
        seeds = ", ".join(map(str, self.seeds))
        mean = f"the mean over the seeds {seeds}" if len(self.seeds) > 1 else f"seed {seeds}"
        lowest = f", the lowest under {', '.join(self.attacks)}" if len(self.attacks) > 1 else ""
        held_out = f"{100 * self.validation:g} % of the training inputs, which were held out"
        return [
            f"Best of {trials}: {self.best}, {mean}{lowest}, on {held_out}.",
            f"Searched: {'; '.join(map(str, self.search))}.",
            "The test inputs took no part in the choice. The seeds did: report results on other seeds.",
        ]

    def to_toml(self) -> str:
        """Return the options as the text of a TOML file for `gradskew bench`, with the notes as comments.

        Raises InputError for an option that is an object, as no file can name it.
        """
        lines = [f"{name} = {_toml(name, value)}" for name, value in self.options.items()]
        return "\n".join([*(f"# {note}" for note in self.notes), *lines]) + "\n"

    def __repr__(self) -> str:
        return f"Tuned({self.notes[0]})"


def _toml(name: str, value: Any) -> str:
    value = str(value) if isinstance(value, Path) else plain(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(name, entry) for entry in value)}]"
    check(isinstance(value, (str, int, float)), f"{name} is an object, which a TOML file cannot name: {value!r:.60}")
    return json.dumps(value, ensure_ascii=False)
