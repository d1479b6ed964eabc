"""What a rule or an attack remembers from round to round, handled as a PyTorch user expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .names import Named


@dataclass(frozen=True, kw_only=True)
class Stateful(Named):
    """A named, frozen set of hyperparameters with one private dictionary of tensors and integers as state."""

    _state: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def reset(self) -> None:
        """Forget everything: the state before the first round."""
        self._state.clear()

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state."""
        return {key: _copy(value) for key, value in self._state.items()}

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        """Whether this can be the state of such an object for rows of d entries; overridden by who knows better."""
        return True

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the state by a copy of `state`."""
        fresh = {key: _copy(value) for key, value in state.items()}
        self._state.clear()
        self._state.update(fresh)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def is_row(value: Any, d: int) -> bool:
    """Whether it is a finite row of d entries."""
    good = isinstance(value, Tensor) and value.shape == (d,) and value.is_floating_point()
    return good and bool(value.isfinite().all())
