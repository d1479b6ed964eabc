"""What a server knows of a round beside the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from .errors import check

# Which option gives a part of the round, in the simulation and elsewhere.
OPTIONS = {
    "clients": "client ids, which Robust, RedTeam and the simulation give",
    "examples": "example counts, which the simulation gives",
    "params": "the model, which the simulation gives",
    "layers": "the model's layers, which the simulation gives",
    "reference": "the server's own update: root_examples = 100 holds out the data that it is trained on",
}


@dataclass(frozen=True)
class Layer:
    """One parameter tensor of the model: its columns in a row of updates, and its shape."""

    columns: slice
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a server knows of a round beside the rows, read-only. None: this federation has none.

    number: counted from 0. clients: the ids of the rows, in their order. examples: (n,) how many training examples each
    client claims. params: the model w^t (d,). layers: of each parameter tensor by name. reference: the server's own
    update w^t - w_0^{t+1} (d,), trained on its root data as a client trains.
    """

    number: int = 0
    clients: Sequence[int] | None = None
    examples: Tensor | None = None
    params: Tensor | None = None
    layers: Mapping[str, Layer] | None = None
    reference: Tensor | None = None

    def check_has(self, needs: Iterable[str], name: str) -> None:
        """Raise InputError unless the round has all parts that the rule `name` needs."""
        for part in sorted(needs):
            check(getattr(self, part) is not None, f"{name} needs {OPTIONS[part]}; there is none here")
