"""A finished run: its spec, its metrics per round, and the text that they are on disk."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, overload

from ..core.names import canonical
from ..federation.rounds import Result
from ..federation.run import LAST
from ..federation.schema import check_record

UNPACKED = 64  # records whose rounds are held as Python objects: those that were looked at last, also by who is gone


@dataclass(frozen=True)
class Record:
    """A finished run: the content of its spec, its metrics per round, the SHA-256 of its final parameters.

    rounds: a sequence to be read only, which is no list in a record that was read from disk. class_counts: for each
    client the number of its images of each class; None without the lens.
    """

    spec: dict[str, Any]
    rounds: Sequence[dict[str, Any]]
    params_sha256: str
    class_counts: list[list[int]] | None = None

    @classmethod
    def of(cls, result: Result) -> Record:
        return cls(result.run.content, result.rounds, result.params_sha256, result.class_counts)

    @property
    def digest(self) -> str:
        return _sha256(canonical(self.spec))

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy after each round in which the model was tested, in percent."""
        return list(self._numbers["accuracy"])

    @property
    def accuracy(self) -> float:
        """The mean over the last min(5, rounds) rounds, in percent."""
        last = self.accuracies[-LAST:]
        return sum(last) / len(last)

    @property
    def best_accuracy(self) -> float:
        return max(self.accuracies)

    @property
    def num_classes(self) -> int | None:
        """How many classes the data set has, if the lens saw it."""
        if self.class_counts:
            return len(self.class_counts[0])
        lenses = (metrics.get("lens") or {} for metrics in self.rounds)
        return next((len(lens["classes"]) for lens in lenses if lens.get("classes")), None)

    def average(self, metric: str) -> float | None:
        """The mean of a metric over the rounds in which it is a number; None if there is none."""
        values = self._numbers.get(metric)
        return sum(values) / len(values) if values else None

    @cached_property
    def _numbers(self) -> dict[str, list[float]]:
        """The metrics that are numbers, over the rounds that have them."""
        found: dict[str, list[float]] = {}
        for metrics in self.rounds:
            for name, value in metrics.items():
                if isinstance(value, (int, float)):
                    found.setdefault(name, []).append(value)
        return found

    def to_json(self) -> str:
        """The text of record.json: the same record always gives the same bytes."""
        body: dict[str, Any] = {"params_sha256": self.params_sha256, "rounds": list(self.rounds)}
        if self.class_counts is not None:
            body["class_counts"] = self.class_counts
        before, after = canonical(body)[:-1], canonical({"spec": self.spec})[1:]  # what is sorted before and after it
        return f'{before},"sha256":"{_sha256(f"{before},{after}")}",{after}\n'

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record in a text; ValueError if it is damaged, or cannot be that of a run."""
        try:
            body = json.loads(text)
            checksum = body.pop("sha256")
            record = cls(body["spec"], body["rounds"], body["params_sha256"], body.get("class_counts"))
            sealed = canonical(body)
            if checksum != _sha256(sealed):
                raise ValueError("its checksum does not match")
            check_record(record.spec, record.rounds, record.params_sha256, record.class_counts)
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a record: {error!r}") from None
        return replace(record, rounds=Packed(sealed, len(record.rounds)))


class Packed(Sequence[dict[str, Any]]):
    """The rounds in the text of a record, compressed: a ninth of the memory, as a table may be of thousands of runs."""

    def __init__(self, text: str, length: int):
        self.packed, self.length = zlib.compress(text.encode(), 1), length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return _unpacked(self.packed)[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(_unpacked(self.packed))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __repr__(self) -> str:
        return repr(list(self))


@lru_cache(UNPACKED)
def _unpacked(packed: bytes) -> list[dict[str, Any]]:
    rounds: list[dict[str, Any]] = json.loads(zlib.decompress(packed))["rounds"]
    return rounds


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
