"""The metrics of a round as typed structs, compact since a table may have thousands of runs. Imports no torch."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from operator import attrgetter
from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from ..core.errors import check

MOST = 10**9  # largest count of clients, rounds or inputs
LEAST, LARGEST = 1e-100, 1e100  # range of a measured number other than 0: sums, ratios and squares are finite
TESTED: Mapping[str, str] = {  # what the accuracies in % are, by the loss of the run
    "cross_entropy": "accuracy",
    "next_token": "accuracy of next tokens",
    "squared": "R²",
}
LENGTHS = ("spread", "farthest", "mean_norm", "gradient_spread", "gradient_mean_norm")
NEVER_TINY = (*LENGTHS, "shift", "density", "kappa", "kappa_bound")  # measures of the lens
SUCCESS = "pair_success"  # in `attack`: the share, in %, of the test inputs of one class that are taken for another
ROUNDING = 1e-6  # tolerance by which a share may exceed 1

Whole = Annotated[int, Meta(ge=0, le=MOST)]
Positive = Annotated[int, Meta(ge=1, le=MOST)]
Measured = Annotated[float, Meta(ge=0, le=LARGEST)]  # also 0 or at least LEAST: see `check_least`
Signed = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Cosine = Annotated[float, Meta(ge=-1 - ROUNDING, le=1 + ROUNDING)]
Share = Annotated[float, Meta(ge=0, le=1 + ROUNDING)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Floats(array):  # type: ignore[type-arg]  # `array[float]` needs Python 3.12
    """An array of 8-byte floats that equals a list of the same numbers."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence | array) else NotImplemented


class Fields(Struct, kw_only=True, eq=False, gc=False):
    """Metrics with the methods of a dictionary. others: metrics that another version wrote, set by `keep_others`.

    gc=False: metrics are parsed from JSON, so they have no reference cycles.
    """

    others: Any = ()

    def get(self, name: str, default: Any = None) -> Any:
        if name in _field_names(type(self)):
            value = getattr(self, name)
            return default if value is UNSET else value
        return self.others[name] if name in self.others else default  # noqa: SIM401 - others may be an empty tuple

    def __getitem__(self, name: str) -> Any:
        value = self.get(name, UNSET)
        if value is UNSET:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        return [*(name for name in _field_names(type(self)) if getattr(self, name) is not UNSET), *self.others]

    def items(self) -> list[tuple[str, Any]]:
        return [(name, self[name]) for name in self]

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, Fields | Mapping) else NotImplemented

    def keep_others(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep the entries of the content that are no fields, and return them."""
        if not content.keys() <= _field_names(type(self)):
            self.others = {key: content[key] for key in content.keys() - _field_names(type(self))}
        return self.others or {}


class LensMetrics(Fields):
    """The measures of the lens in a round with an honest row: see `gradskew.skew.Skew` and `gradskew.skew.look`.

    From `farthest` on they are UNSET in records of the first version of the lens, and from `gradient_spread` on without
    `probe`: see `gradskew.skew.gradients`.
    """

    f: Whole
    skewed: Positive
    spread: Measured
    principal_share: Share
    shift: Measured
    density: Measured | None
    towards: Sequence[Signed]  # as `Floats`
    principal: Sequence[Signed]
    kappa: Measured | None
    kappa_bound: Measured | str | None  # "inf": JSON has no infinity
    selected: Share | None
    shut_out: list[Whole] | None
    clients: list[Whole] | None
    classes: list[Percent | None] | None
    farthest: Measured | UnsetType = UNSET
    mean_norm: Measured | UnsetType = UNSET
    cosine: Cosine | UnsetType | None = UNSET
    progress: Signed | UnsetType | None = UNSET
    gradient_spread: Measured | UnsetType | None = UNSET
    gradient_mean_norm: Measured | UnsetType | None = UNSET
    gradient_cosine: Cosine | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        self.towards, self.principal = Floats("d", self.towards), Floats("d", self.principal)
        check(self.kappa_bound == "inf" or type(self.kappa_bound) is not str, "kappa_bound is no number")


class Round(Fields):
    """The metrics of a round. lens: UNSET in a run without the lens, None in a round without an honest row."""

    round: Whole
    accuracy: Percent | None
    rows: Whole
    byzantine_rows: Whole
    rejected: Whole
    f: Whole
    clamped: bool
    stepped: bool
    byzantine_share: Share | None
    distance: Measured | None
    attack: dict[str, Any]
    rule: dict[str, Any]
    lens: LensMetrics | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        check(type(self.attack.get("called")) is bool, "attack has no true or false for called")


@cache
def _field_names(kind: type[Fields]) -> Set[str]:
    """Return the names of the fields of a struct, in order, without `others`."""
    return dict.fromkeys(kind.__struct_fields__[:-1]).keys()  # `others`, which is keyword-only, comes last


Metrics = Round | Mapping[str, Any]  # read from a record, or returned by a simulation


def values_of(several: Sequence[Any], name: str) -> list[Any]:
    """Return a metric of several rounds, or a measure of several lenses, None for one that lacks it."""
    kinds = {*map(type, several)}
    if len(kinds) == 1 and issubclass(kind := kinds.pop(), Fields) and name in _field_names(kind):
        return [None if value is UNSET else value for value in map(attrgetter(name), several)]
    return [metrics.get(name) for metrics in several]


def as_json(metrics: Metrics) -> dict[str, Any]:
    """Return metrics as dictionaries and lists, for JSON."""
    return {key: _as_json(value) for key, value in metrics.items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, Fields):
        return {key: _as_json(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, Floats) else value


def check_least(rounds: Sequence[Round]) -> None:
    """Raise InputError for a metric between 0 and LEAST, as ratios by it, or its square, may leave the float range."""
    lenses = [metrics.lens for metrics in rounds if isinstance(metrics.lens, LensMetrics)]
    for several, name in [(rounds, "distance"), *((lenses, name) for name in NEVER_TINY)]:
        known = [value for value in values_of(several, name) if isinstance(value, float)]
        check(min(filter(None, known), default=LEAST) >= LEAST, f"{name} is below {LEAST}")
    for name in ("towards", "principal"):
        sizes = np.abs(np.frombuffer(b"".join(values_of(lenses, name))))
        check(not ((sizes < LEAST) & (sizes > 0)).any(), f"a projection in {name} is below {LEAST}")
