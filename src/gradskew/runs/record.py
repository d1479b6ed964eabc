"""The record of a finished run, and its JSON text on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.html import html_table
from ..core.names import canonical
from ..federation.curve import RISING, at_end, still_rises
from ..federation.metrics import Metrics, as_json
from ..federation.schema import check_record
from .columns import Columns, StoredRounds

if TYPE_CHECKING:
    from ..federation.simulation import Result


@dataclass(frozen=True)
class Record:
    """A finished run: the content of its spec, the metrics of each round, the SHA-256 of the final parameters.

    rounds: the metrics of each round by name, read-only. class_counts: the number of inputs of each class, for each
    client; None without the lens. test_size: the number of test inputs; None in records of earlier versions. data: what
    is said of the data (`Dataset.notes`). test_counts: the number of test inputs of each class; None in records of
    earlier versions, and where the loss has no classes.
    """

    spec: dict[str, Any]
    rounds: Sequence[Metrics]
    params_sha256: str
    class_counts: list[list[int]] | None = None
    test_size: int | None = None
    data: Sequence[str] = ()
    test_counts: list[int] | None = None

    def __repr__(self) -> str:
        seed = f", seed {self.spec['seed']}" if "seed" in self.spec else ""
        ends = f": {self.accuracy:.1f}{RISING * self.rises} %" if self.accuracies else ""
        rounds = f"{len(self.rounds)} round{'' if len(self.rounds) == 1 else 's'}"
        return f"Record({self._title}{seed}{ends} after {rounds})"

    def _repr_html_(self) -> str:
        shown = {"data set": self.spec["dataset"], "seed": self.spec["seed"], "rounds": len(self.rounds)}
        end, best = f"{self.accuracy:.2f}{RISING * self.rises} %", f"{self.best_accuracy:.2f} %"
        shown |= {"accuracy at the end": end, "best accuracy": best}
        means = {"Byzantine share of the weight": "byzantine_share", "distance from the honest mean": "distance"}
        values = {name: self.average(metric) for name, metric in means.items()}
        shown |= {name: f"{value:.3g}" for name, value in values.items() if value is not None}
        return html_table(f"Record of {self._title}", [(name, str(value)) for name, value in shown.items()])

    @property
    def _title(self) -> str:
        return f"{self.spec.get('attack_name')} against {self.spec.get('aggregator_name')}"

    @classmethod
    def of(cls, result: Result) -> Record:
        """Return the record of a finished run."""
        notes = tuple(result.run.source.load().notes)
        content = result.run.content
        size, counts = result.test_size, result.test_counts
        return cls(content, result.rounds, result.params_sha256, result.class_counts, size, notes, counts)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the spec: the name under which the run is stored."""
        return _sha256(canonical(self.spec))

    @cached_property
    def columns(self) -> Columns:
        """The metrics by name, with a value for each round."""
        return self.rounds.columns if isinstance(self.rounds, StoredRounds) else Columns(self.rounds)

    @property
    def accuracies(self) -> list[float]:
        """The test accuracy after each round with a test, in percent."""
        return self._values("accuracy")

    @property
    def accuracy(self) -> float:
        """The mean test accuracy over the last min(5, ceil(rounds / 5)) rounds, in percent."""
        return at_end(self.accuracies, len(self.rounds))

    @property
    def tested(self) -> list[int]:
        """The rounds with a test, counted from 0."""
        return [i for i, accuracy in enumerate(self.columns["accuracy"]) if accuracy is not None]

    @property
    def rises(self) -> bool:
        """Whether the accuracy still rises at the end: see `curve.still_rises`."""
        return still_rises(self.tested, self.accuracies)

    @property
    def best_accuracy(self) -> float:
        """The largest test accuracy after a round, in percent."""
        return max(self.accuracies)

    @property
    def num_classes(self) -> int | None:
        """The number of classes of the data set; None without the lens."""
        if self.class_counts:
            return len(self.class_counts[0])
        return next((len(classes) for classes in self.columns["lens.classes"] if classes), None)

    @property
    def largest_class(self) -> float | None:
        """The share of the largest class in the test inputs, in percent; None where the counts are not known."""
        return 100 * max(self.test_counts) / sum(self.test_counts) if self.test_counts else None

    def average(self, metric: str) -> float | None:
        """Return the mean of a metric over the rounds in which it is a number; None if it is in no round."""
        values = self._values(metric)
        return sum(values) / len(values) if values else None

    def _values(self, metric: str) -> list[float]:
        return [value for value in self.columns[metric] if isinstance(value, (int, float))]

    def agrees(self, other: Record) -> bool:
        """Return whether two records have the same bits; what older records lack or say in other words does not count.

        That is the test size, its parts, and what is said of the data.
        """
        both = (replace(record, test_size=None, test_counts=None, data=()) for record in (self, other))
        first, second = (record.to_json() for record in both)
        return first == second

    def to_json(self) -> str:
        """Return the text of record.json: the same record always gives the same bytes."""
        body: dict[str, Any] = {"params_sha256": self.params_sha256, "rounds": list(map(as_json, self.rounds))}
        if self.class_counts is not None:
            body["class_counts"] = self.class_counts
        if self.data:
            body["data"] = list(self.data)
        tail: dict[str, Any] = {"spec": self.spec}
        tested = {"test_counts": self.test_counts, "test_size": self.test_size}
        tail |= {name: value for name, value in tested.items() if value is not None}
        before, after = canonical(body)[:-1], canonical(tail)[1:]  # "sha256" sorts between them
        return f'{before},"sha256":"{_sha256(f"{before},{after}")}",{after}\n'

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Return the record in the text of a record.json; ValueError if it is damaged or invalid."""
        try:
            body = _decoded(text)
            checksum = body.pop("sha256")
            as_written = text.rstrip("\n").replace(f'"sha256":"{checksum}",', "", 1)
            if checksum != _sha256(as_written) and checksum != _sha256(canonical(body)):  # the second is slow
                raise ValueError("its checksum does not match")
            spec, params_sha256, class_counts = body["spec"], body["params_sha256"], body.get("class_counts")
            test_size, notes, counts = body.get("test_size"), body.get("data", []), body.get("test_counts")
            rounds = check_record(spec, body["rounds"], params_sha256, class_counts, test_size, notes, counts)
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a record: {error!r}") from None
        return cls(spec, rounds, params_sha256, class_counts, test_size, tuple(notes), counts)


def _decoded(text: str) -> Any:
    """Return the content of a JSON text; ValueError if it is damaged."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # also of half a surrogate pair, which a note of a user's rule may have
        return json.loads(text)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
