"""What networks for tokens have in common: whole numbers as inputs, 0 where a text has ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core.errors import check, check_choice, check_number
from ..data import Dataset
from .base import Model


@dataclass(frozen=True, kw_only=True)
class TokenModel(Model):
    """A network for sequences of tokens 0, ..., vocabulary - 1, of which 0 is no token but the end of a text.

    vocabulary: 256 for texts as bytes. each: give scores for each token, (batch, length, classes), which depend on that
    token and on those before it alone, for `loss = next_token`; False: for the text.
    """

    kind = "other"
    batched = False
    vocabulary: int = 256
    each: bool = False

    def __post_init__(self) -> None:
        check_number("vocabulary", self.vocabulary, at_least=2, whole=True)
        check_choice("each", self.each, (False, True))

    def check_data(self, dataset: Dataset) -> None:
        low, high = check_tokens(self.key, dataset)
        message = f"the model {self.key} has tokens 0 to {self.vocabulary - 1}, and the data {low} to {high}"
        check(high < self.vocabulary, f"{message}: vocabulary={high + 1} takes these")


def check_tokens(name: str, dataset: Dataset) -> tuple[int, int]:
    """Return the least and the largest token; InputError unless all inputs are whole numbers from 0 on, as stored.

    name: of the model, for the message.
    """
    unchanged = not dataset.shift.any() and bool((dataset.scale == 1).all())
    parts = [split.inputs.cpu().numpy() for split in (dataset.train, dataset.test)]
    whole = unchanged and all(part.dtype.kind in "iub" or bool((part == np.floor(part)).all()) for part in parts)
    low = min(int(part.min()) for part in parts) if whole else -1
    wanted = "standardise=False keeps numbers as they are, and text=COLUMN reads texts as bytes"
    check(whole and low >= 0, f"the model {name} needs tokens, which are whole numbers from 0 on: {wanted}")
    return low, max(int(part.max()) for part in parts)


def mean_of_text(states: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean of states (batch, length, width) over the tokens (batch, length) that are not 0: (batch, width).

    Of an empty text, 0.
    """
    inside = (tokens != 0).to(states).unsqueeze(-1)
    return (states * inside).sum(1) / inside.sum(1).clamp(min=1)


def last_of_text(states: Tensor, tokens: Tensor) -> Tensor:
    """Return the state at the last token that is not 0, of states (batch, length, width): (batch, width).

    Of an empty text, 0.
    """
    inside = tokens != 0
    last = inside & (inside.flip(1).cumsum(1).flip(1) == 1)
    return (states * last.to(states).unsqueeze(-1)).sum(1)


def as_tokens(inputs: Tensor) -> Tensor:
    """Return inputs (batch, *shape) of any type as tokens (batch, length), int64."""
    return inputs.flatten(1).to(torch.int64)
