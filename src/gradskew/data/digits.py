"""scikit-learn's digits, which come with the package: digits.csv.gz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

import numpy as np
import torch

from ..core.randomness import generator
from .base import Dataset, Source, Split


@dataclass(frozen=True, kw_only=True)
class Digits(Source):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels: 1,437 to train, 360 to test, the same split always.

    digits.csv.gz has a line for each: 64 pixels from 0 to 16, and the class. It is the test part of "Optical
    Recognition of Handwritten Digits" (UCI, licence CC BY 4.0). scikit-learn's own copy needs the import of its
    library, which takes nearly as long as torch's.
    """

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
        with resources.as_file(resources.files(__package__) / "digits.csv.gz") as path:
            table = torch.from_numpy(np.loadtxt(path, delimiter=",", dtype=np.uint8))
        table = table[torch.randperm(len(table), generator=generator(0, "split of the digits"))]
        split = Split(table[:, :64].reshape(-1, 8, 8).contiguous(), table[:, 64].long())
        train = Split(split.inputs[:1437], split.labels[:1437])
        test = Split(split.inputs[1437:], split.labels[1437:])
        return Dataset(train, test, 10, scale=torch.tensor(1 / 16))
