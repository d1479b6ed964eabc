"""scikit-learn's digits, which need no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..core.randomness import generator
from .base import Dataset, Source, Split


@dataclass(frozen=True, kw_only=True)
class Digits(Source):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels: 1,437 to train, 360 to test, the same split always."""

    key: ClassVar[str] = "digits"
    source: ClassVar[str] = "Alpaydin and Kaynak, UCI 1998"
    min_samples: ClassVar[int] = 2
    scaling: ClassVar[str] = "pixels over 16"
    recipe: ClassVar[Mapping[str, Any]] = {
        "model": "mlp(hidden=32)",
        "rounds": 60,
        "epochs": 2,
        "batch": 16,
        "lr": 0.2,
        "momentum": 0.9,
    }

    def read(self) -> Dataset:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        pixels = torch.from_numpy(images.reshape(-1, 8, 8).astype(np.uint8))
        order = torch.randperm(len(labels), generator=generator(0, "split of the digits"))
        split = Split(pixels[order], torch.from_numpy(labels.astype(np.int64))[order])
        train = Split(split.inputs[:1437], split.labels[:1437])
        test = Split(split.inputs[1437:], split.labels[1437:])
        return Dataset(train, test, 10, scale=torch.tensor(1 / 16))
