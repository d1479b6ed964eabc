from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core.errors import check, check_number
from .tokens import TokenModel, as_tokens, mean_of_text


@dataclass(frozen=True, kw_only=True)
class Transformer(TokenModel):
    """Embeddings of tokens and places, encoder layers (layer norm first, no dropout), their mean, a linear layer.

    With `each` there is no mean, and a token attends to itself and to those before it.
    width: of an embedding, a multiple of heads; the inner layer has four times as many units. layers: their number.
    """

    key: ClassVar[str] = "transformer"
    source: ClassVar[str] = "Vaswani et al., NeurIPS 2017"
    width: int = 32
    heads: int = 2
    layers: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "heads", "layers"):
            check_number(name, getattr(self, name), at_least=1, whole=True)
        check(self.width % self.heads == 0, f"width = {self.width} must be a multiple of heads = {self.heads}")

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Network(self, math.prod(shape), num_classes)


class _Network(nn.Module):
    def __init__(self, model: Transformer, length: int, num_classes: int):
        super().__init__()
        self.embedding = nn.Embedding(model.vocabulary, model.width)
        self.places = nn.Embedding(length, model.width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                model.width, model.heads, 4 * model.width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(model.layers)
        )
        self.scores = nn.Linear(model.width, num_classes)
        self.each = model.each

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = as_tokens(inputs)
        states: Tensor = self.embedding(tokens) + self.places.weight
        ended = tokens == 0
        ended = torch.cat([torch.zeros_like(ended[:, :1]), ended[:, 1:]], 1)  # an empty text attends to its first place
        later = torch.ones(2 * tokens.shape[1:], dtype=torch.bool, device=tokens.device).triu(1) if self.each else None
        for layer in self.layers:
            states = layer(states, later, ended)
        scores: Tensor = self.scores(states if self.each else mean_of_text(states, tokens))
        return scores
