"""How much the gradients of several clients differ, without a matrix of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .measures import digits


def differences(gradients: Iterable[Tensor]) -> dict[str, Any]:
    """Measure how much gradients (d,), at least one, differ; return a JSON object for the record.

    gradient_spread: the root of the mean squared distance to their mean. gradient_mean_norm: the norm of the mean.
    gradient_cosine: the mean cosine over pairs, with a gradient of zeros 0; None for one gradient. All are None where
    one is not finite. The gradients are read once, in order, and summed in float64 (Welford 1962).

    >>> differences([torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0])])
    {'gradient_spread': 1.0, 'gradient_mean_norm': 2.0, 'gradient_cosine': 1.0}
    """
    count, nonzero, squares = 0, 0, 0.0
    mean, directions = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for gradient in gradients:
        exact = gradient.double()
        length = float(torch.linalg.vector_norm(exact))
        count, nonzero = count + 1, nonzero + (length > 0)
        from_last = exact - mean
        mean = mean + from_last / count
        squares += float(from_last @ (exact - mean))
        directions = directions + exact / (length or 1.0)
    pairs = count * (count - 1)
    norm = float(torch.linalg.vector_norm(mean))
    values = {
        "gradient_spread": math.sqrt(max(0.0, squares) / count),
        "gradient_mean_norm": norm,
        "gradient_cosine": (float(directions @ directions) - nonzero) / pairs if pairs else None,
    }
    if not math.isfinite(norm):
        return dict.fromkeys(values)
    return {name: None if value is None else digits(value) for name, value in values.items()}
