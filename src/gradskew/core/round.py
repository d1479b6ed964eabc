"""What a server knows of a round besides the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import check, plain
from .given import HALVES, check_unmasked, finite_rows

# For the error message: each part of the round, and where it comes from.
PARTS = {
    "clients": "client ids, which Robust, RedTeam and the simulation give",
    "examples": "example counts, which Robust and the simulation give",
    "params": "the model, which Robust, RedTeam and the simulation give",
    "layers": "the model's layers, which Robust, RedTeam and the simulation give",
    "reference": "the server's own update: root_examples = 100 holds out the data that it is trained on",
    "losses": "the clients' losses at candidate models, which the simulation asks for with votes = True",
}


@dataclass(frozen=True)
class Layer:
    """One parameter tensor of the model: its columns in a row of updates, and its shape."""

    columns: slice
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a server knows of a round besides the rows, read-only. None: not known in this federation.

    float16 and bfloat16 become float32.

    number: counted from 0. clients: the client ids of the rows, in order. examples: the number of training examples
    that each client claims (n,). params: the model w^t (d,). layers: the parameter tensors by name. reference: the
    server's own update w^t - w_0^{t+1} (d,), trained on its root data as a client trains on its own. With
    `buffers=aggregated` rows and reference are longer than params and layers, by the buffers. losses: a function of
    models (k, d), the first of which is w^t, and client ids (n,): the losses that the clients claim, (k, n). rate: what
    the server multiplies an aggregate of rows by, the learning rate where rows are gradients.
    """

    number: int = 0
    clients: Sequence[int] | None = None
    examples: Tensor | None = None
    params: Tensor | None = None
    layers: Mapping[str, Layer] | None = None
    reference: Tensor | None = None
    losses: Callable[[Tensor, Sequence[int]], Tensor] | None = None
    rate: float = 1.0

    def __post_init__(self) -> None:
        for name in ("examples", "params", "reference"):
            given = getattr(self, name)
            if given is not None:
                check_unmasked(name, given)
                tensor = torch.as_tensor(given).detach()
                object.__setattr__(self, name, tensor.float() if tensor.dtype in HALVES else tensor)
        if self.clients is not None:
            ids = self.clients.tolist() if isinstance(self.clients, np.ndarray | Tensor) else self.clients
            check(isinstance(ids, Iterable), f"clients must be a sequence of client ids, not {type(ids).__name__}")
            object.__setattr__(self, "clients", [plain(client) for client in ids])

    def of_rows(self, index: Sequence[int] | None) -> dict[str, Any]:
        """Return the client ids and the example counts of some rows; None for mixtures of rows."""
        clients = None if index is None or self.clients is None else [self.clients[i] for i in index]
        examples = None if index is None or self.examples is None else self.examples[list(index)]
        return {"clients": clients, "examples": examples}

    def check_has(self, needs: Iterable[str], name: str) -> None:
        """Raise InputError unless the round has all parts that the rule `name` needs."""
        for part in sorted(needs):
            check(getattr(self, part) is not None, f"{name} needs {PARTS[part]}; there is none here")

    def check_fits(self, needs: Iterable[str], n: int, d: int) -> None:
        """Raise InputError unless the parts that a rule needs fit n rows of length d, are finite and name n clients."""
        for part in sorted({*needs}):
            value = getattr(self, part)
            if part == "clients":
                whole = all(isinstance(client, int) and not isinstance(client, bool) for client in value)
                good = whole and len(value) == len(set(value)) == n
                check(good, f"the client ids must be {n} different whole numbers, one for each row")
            elif part == "losses":
                check(callable(value), "losses must be a function of models and client ids")
            elif part == "layers":
                good = all(isinstance(layer, Layer) for layer in value.values())
                check(good, "the layers must be gradskew.core.round.Layer objects by name")
            else:
                what, length = {
                    "examples": ("the example counts", n),
                    "params": ("the model", d),
                    "reference": ("the reference", d),
                }[part]
                shape = tuple(value.shape)
                check(shape == (length,), f"{what} must have the shape ({length},), not {shape}")
                check(bool(finite_rows(value[None])), f"{what} must be finite")


def output_columns(round: Round, d: int) -> slice:
    """Return the columns of the output layer in rows (n, d): the last tensor of two or more dimensions, and its bias.

    Raises InputError if the layers do not fit into the rows.
    """
    layers = check_layers(round, d)
    first = next((layer for layer in reversed(layers) if len(layer.shape) > 1), layers[0])
    return slice(first.columns.start, layers[-1].columns.stop)


def check_layers(round: Round, d: int) -> list[Layer]:
    """Return the layers in the order of their columns; InputError unless they follow each other within d columns."""
    layers = sorted((round.layers or {}).values(), key=lambda layer: layer.columns.start)
    starts, stops = [layer.columns.start for layer in layers], [layer.columns.stop for layer in layers]
    good = bool(layers) and starts == [0, *stops[:-1]] and stops[-1] <= d
    check(good, f"the layers must follow each other from column 0 on and end within {d} columns")
    return layers
