from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core.errors import check, check_choice, check_number
from .tokens import TokenModel, as_tokens, last_of_text, mean_of_text


@dataclass(frozen=True, kw_only=True)
class LSTM(TokenModel):
    """An embedding of the tokens, a long short-term memory, the mean of its states over the text, a linear layer.

    With `each` there is no mean.
    width: of the embedding. hidden: the size of a state. layers: their number. last: take the state at the last token
    of a text in place of the mean, to predict what follows.
    """

    key: ClassVar[str] = "lstm"
    source: ClassVar[str] = "Hochreiter and Schmidhuber, 1997"
    width: int = 32
    hidden: int = 64
    layers: int = 1
    last: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "hidden", "layers"):
            check_number(name, getattr(self, name), at_least=1, whole=True)
        check_choice("last", self.last, (False, True))
        check(not (self.each and self.last), "each and last are both given: scores are of each token or of the last")

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _Network(self, num_classes)


class _Network(nn.Module):
    def __init__(self, model: LSTM, num_classes: int):
        super().__init__()
        self.embedding = nn.Embedding(model.vocabulary, model.width)
        self.memory = nn.LSTM(model.width, model.hidden, model.layers, batch_first=True)
        self.scores = nn.Linear(model.hidden, num_classes)
        self.each, self.of_text = model.each, last_of_text if model.last else mean_of_text

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = as_tokens(inputs)
        cudnn = torch.backends.cudnn
        before, cudnn.enabled = cudnn.enabled, self.training  # it has no gradient in evaluation mode
        try:  # `cudnn.flags` would set the precision of its products, too
            states: Tensor = self.memory(self.embedding(tokens))[0]
        finally:
            cudnn.enabled = before
        scores: Tensor = self.scores(states if self.each else self.of_text(states, tokens))
        return scores
