"""Selection by scores, where numbers that differ by rounding alone are ties: the rows chosen, and their weights."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.columns import sort_last

TIE = 1e-12  # relative difference of two numbers that would be equal without rounding


def lowest(scores: Tensor, count: int) -> Tensor:
    """Return the indices (..., count) of the lowest scores (..., n); ties, see `merge_ties`, go to the lower index."""
    return merge_ties(scores).argsort(dim=-1, stable=True)[..., :count]


def lowest_one(scores: Tensor) -> Tensor:
    """Return the index (..., 1) of the lowest score of (..., n): the first of those within rounding of it, 1e-12 of it.

    >>> lowest_one(torch.tensor([3.0, 1.0 + 1e-15, 1.0], dtype=torch.float64))
    tensor([1])
    """
    least = scores.amin(-1, keepdim=True)
    return (scores <= least + TIE * least.abs()).to(torch.uint8).argmax(-1, keepdim=True)


def merge_ties(values: Tensor) -> Tensor:
    """Return numbers (..., n) in which those of a row that differ by rounding alone, 1e-12 of their size, are equal.

    >>> merge_ties(torch.tensor([1.0, 2.0, 1.0 + 1e-15], dtype=torch.float64)).tolist()
    [1.0, 2.0, 1.0]
    """
    ordered, order = values.sort(-1)
    new = ordered.diff(dim=-1) > TIE * ordered[..., :-1].abs()
    starts = torch.arange(values.shape[-1], device=values.device).expand_as(values).clone()
    starts[..., 1:] *= new
    first = starts.cummax(-1).values  # of numbers that are equal, the place of the first
    return torch.empty_like(ordered).scatter_(-1, order, ordered.gather(-1, first))


def uniform_lowest(scores: Tensor, count: int) -> Tensor:
    """Return weights (..., n), float64: equal ones on the `count` lowest scores (..., n), 0 elsewhere.

    Scores that differ from the last of these by rounding alone, 1e-12 of its size, are ties: the lower index counts.
    `lowest` and `merge_ties` take more for ties: chains of scores that each differ from the next by rounding.

    >>> uniform_lowest(torch.tensor([3.0, 1.0, 1.0 + 1e-15, 0.0], dtype=torch.float64), 2).tolist()
    [0.0, 0.5, 0.0, 0.5]
    """
    edge = sort_last(scores)[..., count - 1 : count]
    slack = TIE * edge.abs()
    inside = scores < edge - slack
    tied = (scores <= edge + slack) & ~inside
    places = count - inside.sum(-1, keepdim=True)
    chosen = inside | (tied & (tied.cumsum(-1) <= places))
    return chosen / torch.full((), count, dtype=torch.float64, device=scores.device)


def uniform(n: int, chosen: Tensor) -> Tensor:
    """Return weights (..., n), float64: equal ones on the chosen indices (..., count) that sum to 1, 0 elsewhere."""
    weights = torch.zeros(*chosen.shape[:-1], n, dtype=torch.float64, device=chosen.device)
    return weights.scatter_(-1, chosen, 1 / chosen.shape[-1])
