"""A mean that stores its rows."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from gradskew.aggregators import Mean, Outcome
from gradskew.core.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Keeps(Mean):
    """The mean; it appends the rows of every call to `kept`."""

    key: ClassVar[str] = "keeps"
    kept: list[Tensor] = field(default_factory=list, repr=False, compare=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Keeps":
        return self

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        self.kept.append(rows.updates.clone())
        return super().outcome(rows, f, generator)
