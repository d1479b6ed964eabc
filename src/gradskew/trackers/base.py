"""The base classes of trackers, and a finished run as they get it."""

from __future__ import annotations

import importlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ..core.errors import InputError, check
from ..core.files import make_folder
from ..core.importing import pip_install
from ..core.names import Named
from .flat import Value, flat_rounds, flat_spec


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, as trackers get it.

    digest, spec, rounds: those of its record. accuracy, best_accuracy: at the end and the largest of a round, in
    percent. stamp: a text that tells apart the runs of code that only one session knows, which may have one digest.
    """

    digest: str
    spec: Mapping[str, Any]
    rounds: Sequence[Any]
    accuracy: float
    best_accuracy: float
    stamp: str = ""

    @property
    def title(self) -> str:
        """Attack, rule and seed, for people."""
        return f"{self.spec['attack_name']} against {self.spec['aggregator_name']}, seed {self.spec['seed']}"

    @property
    def key(self) -> str:
        """What no other run has: the digest, with the stamp if there is one."""
        return self.digest + (f"-{self.stamp}" if self.stamp else "")

    @property
    def stem(self) -> str:
        """The name of its file: attack, rule, seed and the beginning of the key, without signs."""
        names = [str(self.spec[name])[:60] for name in ("attack_name", "aggregator_name", "seed")]
        words = [re.sub(r"[^\w.]+", "_", name, flags=re.ASCII).strip("_.") for name in names]
        return "-".join([*words, self.digest[:12], *([self.stamp] if self.stamp else [])])

    @cached_property
    def parameters(self) -> dict[str, Value]:
        """The settings by name, with the digest."""
        return {"digest": self.digest, **flat_spec(self.spec)}

    @cached_property
    def table(self) -> list[dict[str, Value]]:
        """The metrics of each round by name: see `flat_rounds`."""
        return flat_rounds(self.rounds)

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The metrics of each round that are finite numbers, without the number of the round; true is 1."""
        return [
            {name: float(value) for name, value in row.items() if name != "round" and _is_finite(value)}
            for row in self.table
        ]

    @property
    def summary(self) -> dict[str, float]:
        """The accuracy at the end, as reports have it, and the best of a round."""
        return {"final_accuracy": self.accuracy, "best_accuracy": self.best_accuracy}


@dataclass(frozen=True, kw_only=True)
class Tracker(Named, ABC):
    """Base class of trackers: subclass it, give a `key`, and write `has` and `log`.

    library: the module that it needs, which the extra of its key installs.
    """

    library: ClassVar[str] = ""

    def prepare(self) -> None:
        """Raise InputError for what is missing; called before anything is run."""
        if self.library:
            try:
                importlib.import_module(self.library)
            except ImportError as error:
                needed = f"--log {self.key} needs {self.library} ({error})"
                raise InputError(f"{needed}: {pip_install(f'gradskew[{self.key}]')}") from None

    @abstractmethod
    def has(self, run: FinishedRun) -> bool:
        """Return whether the run is logged already, as a whole."""

    @abstractmethod
    def log(self, run: FinishedRun) -> None:
        """Log a finished run."""


@dataclass(frozen=True, kw_only=True)
class FileTracker(Tracker):
    """Base class of trackers that write a file for each run. folder: where, by default `log/<key>` in the results."""

    suffix: ClassVar[str]
    folder: Path | None = field(default=None, repr=False)

    def prepare(self) -> None:
        super().prepare()
        try:
            make_folder(self.where)
        except OSError as error:
            raise InputError(f"--log {self.key}: cannot write to {str(self.where)!r}: {error.strerror}") from None

    @property
    def where(self) -> Path:
        """The folder."""
        check(self.folder is not None, f"{self.key} needs a folder: {self.key}(folder=...)")
        return Path(str(self.folder)).expanduser()

    def path(self, run: FinishedRun) -> Path:
        """Return the path of the run's file."""
        return self.where / f"{run.stem}{self.suffix}"

    def has(self, run: FinishedRun) -> bool:
        return self.path(run).exists()


def _is_finite(value: Value) -> bool:
    return not isinstance(value, str) and math.isfinite(value)
