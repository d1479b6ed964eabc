"""The state of a rule, an attack or a server optimiser between rounds, with PyTorch's state methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .names import Named


@dataclass(frozen=True, kw_only=True)
class Stateful(Named):
    """A frozen dataclass of hyperparameters with a state: a private dictionary of tensors and integers."""

    _state: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def reset(self) -> None:
        """Return to the state before the first round."""
        self._state.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state."""
        return {key: _copy(value) for key, value in self._state.items()}

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        """Return whether `state` can be a state of this object for rows (d,). A subclass with a state overrides it."""
        return True

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the state by a copy of `state`."""
        copied = {key: _copy(value) for key, value in state.items()}
        self._state.clear()
        self._state.update(copied)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def is_row(value: Any, d: int) -> bool:
    """Return whether a value is a finite floating-point tensor (d,)."""
    good = isinstance(value, Tensor) and value.shape == (d,) and value.is_floating_point()
    return good and bool(value.isfinite().all())
