"""The part of a section on the skew of the honest updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ...skew import Picture
from ...skew.references import Measure, reading
from ...skew.statistics import Estimate
from ..lens import Lens, Overview
from .parts import DIFFERENCES, Figure, measure_by_round, plane


@dataclass(frozen=True)
class HonestSkew:
    """The skew of the honest updates, in numbers beside references and as a picture; how much the clients differ.

    lenses: of the runs that are measured. measured_on: these runs, as text. picture: of one round, with its caption.
    """

    lenses: Sequence[Lens]
    measured_on: str
    picture: tuple[Picture, str] | None

    @cached_property
    def overview(self) -> Overview:
        return Overview(self.lenses)

    @cached_property
    def values(self) -> list[tuple[Measure, Estimate]]:
        return self.overview.values

    @property
    def heterogeneity(self) -> list[tuple[Measure, Estimate]]:
        return self.overview.heterogeneity

    @property
    def figures(self) -> list[Figure]:
        """The measures of how much the clients differ over rounds, beside the skewness, as far as they vary."""
        varying = [
            key
            for key in DIFFERENCES
            if any(len({value for value in lens.series(key) if value is not None}) > 1 for lens in self.lenses)
        ]
        return [measure_by_round(key, self.lenses) for key in varying]

    @property
    def pairs(self) -> str:
        return self.overview.pairs_text

    @property
    def reading(self) -> str:
        return reading(self.values, self.overview.sizes)

    @property
    def supposed(self) -> str:
        return self.overview.supposed

    @property
    def portrait(self) -> Figure | None:
        """The picture and its caption."""
        return None if self.picture is None else (plane(self.picture[0]), self.picture[1])
