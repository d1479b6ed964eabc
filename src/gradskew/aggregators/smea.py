from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.errors import check, check_choice, check_number
from ..core.rows import Rows
from .base import WeightedRule
from .subsets import Steps, far_pairs, subsets
from .ties import TIE, lowest_one, uniform

BATCH = 512  # subsets whose eigenvalues are computed together
AXES = 8  # principal axes whose variances bound the largest eigenvalue from below
BISECTIONS = 60  # of the interval between two eigenvalues
SLACK = 1 + 1e-9  # of a bound: no subset is left out because of rounding


@dataclass(frozen=True, kw_only=True)
class SMEA(WeightedRule):
    """Smallest maximum eigenvalue averaging: average the n - f rows whose covariance has the least largest eigenvalue.

    Ties go to the subset that comes first in the order of its indices.

    search: `exact` goes through all subsets, less those with a pair too far apart for the best one of `greedy`.
    `greedy` drops, f times, the row without which the eigenvalue is least, then exchanges pairs of rows as long as that
    lowers it: its result may not be the least. limit: if there are more subsets, the most steps of the exact search;
    beyond, InputError.

    >>> rows = torch.tensor([[3.0, 4.0], [1.0, 1.0], [2.0, 1.0], [1.0, 4.0], [4.0, 2.0]])
    >>> SMEA()(rows, f=2)
    tensor([3.0000, 2.3333])
    """

    key: ClassVar[str] = "smea"
    title: ClassVar[str] = "SMEA"
    source: ClassVar[str] = "Allouah et al., ICML 2023"
    isometric: ClassVar[bool] = True
    search: str = "exact"
    limit: int = 200_000

    def __post_init__(self) -> None:
        check_choice("search", self.search, ("exact", "greedy"))
        check_number("limit", self.limit, at_least=1, whole=True)

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        gram = rows.gram.cpu()
        gram = gram / gram.diagonal().max().clamp(min=torch.finfo(torch.float64).tiny)
        chosen = greedy(gram, f)
        if self.search == "exact":
            chosen = self._exact(gram, f, chosen)
        notes = {"exact": self.search == "exact"}
        return uniform(rows.n, torch.tensor(chosen, device=rows.updates.device)), notes

    def least(self, n: int, f: int) -> int | None:
        return n - f

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return 4 f / (n - 2 f), see docs/semantics.md; None for the greedy search."""
        return 4 * f / (n - 2 * f) if self.search == "exact" else None

    def _exact(self, gram: Tensor, f: int, known: Sequence[int]) -> list[int]:
        """Return the best subset. known: any subset; rows whose distance excludes a better one are never together.

        |S| lambda_S >= d_ij^2 / 2 for each pair of S, and lambda_S >= the variance along any axis.
        """
        n, size = len(gram), len(gram) - f
        bound = variance(gram, known) * SLACK
        norms = gram.diagonal()
        far = far_pairs(norms[:, None] + norms - 2 * gram, 2 * size * bound)
        message = f"smea would search more than {self.limit} subsets of {n} rows, f = {f}: use smea(search=greedy)"
        few = math.comb(n, f) <= self.limit
        check(few or any(far), message)
        coordinates = principal_coordinates(gram, known)
        least, best = math.inf, list(known)
        candidates = subsets(far, size, Steps(math.inf if few else self.limit, message))
        while batch := list(islice(candidates, BATCH)):
            members = torch.tensor(batch)
            points = coordinates[members]
            members = members[((points - points.mean(1, keepdim=True)).square().mean(1) <= bound).all(1)]
            each = variances(gram, members) if len(members) else torch.tensor([math.inf])
            if each.min() < least * (1 - TIE):
                least, best = float(each.min()), members[int(lowest_one(each))].tolist()
                bound = min(bound, least * SLACK)
        return best


def principal_coordinates(gram: Tensor, members: Sequence[int]) -> Tensor:
    """Return the coordinates of all rows on the first principal axes of some of them: (n, at most AXES)."""
    block = gram[members][:, members]
    block = block - block.mean(0)
    values, vectors = torch.linalg.eigh(block - block.mean(1, keepdim=True))
    kept = values[-AXES:] > 1e-9 * values[-1]
    axes: Tensor = vectors[:, -AXES:][:, kept] / values[-AXES:][kept].sqrt()
    return gram[:, members] @ axes


def variances(gram: Tensor, members: Tensor) -> Tensor:
    """Return the largest eigenvalue of the covariance of each subset: (k,). gram: (n, n). members: (k, size)."""
    blocks = gram[members[:, :, None], members[:, None, :]]
    blocks = blocks - blocks.mean(1, keepdim=True)
    blocks = blocks - blocks.mean(2, keepdim=True)
    values: Tensor = torch.linalg.eigvalsh(blocks)[:, -1]
    return values / members.shape[1]


def variance(gram: Tensor, members: Sequence[int]) -> float:
    """Return the largest eigenvalue of the covariance of one subset."""
    return float(variances(gram, torch.tensor([members]))[0])


def greedy(gram: Tensor, f: int) -> list[int]:
    """Return a subset of n - f rows: drop f rows one by one, then exchange pairs, each time the best one."""
    chosen = list(range(len(gram)))
    for _ in range(f):
        chosen = without_best(gram, chosen)
    least = variance(gram, chosen)
    while f:
        least, better = least / SLACK, chosen
        for added in (j for j in range(len(gram)) if j not in chosen):
            exchanged = without_best(gram, sorted([*chosen, added]), least)
            if exchanged and (value := variance(gram, exchanged)) < least:
                least, better = value, exchanged
        if better is chosen:
            break
        chosen = better
    return chosen


def without_best(gram: Tensor, members: Sequence[int], below: float = math.inf) -> list[int]:
    """Return a subset of k >= 2 rows less the row without which its covariance has the least largest eigenvalue.

    Returns no rows where that eigenvalue is not less than `below`. Without row i, the scatter A of the rows loses
    k / (k - 1) y y^T, y = g_i - mu: its largest eigenvalue is the root of s_i(x) = k / (k - 1) sum_j z_j^2 / (l_j - x)
    = 1 between the two largest eigenvalues l_j of A, z_j the coordinates of y. As s_i rises with x, the rows whose root
    is less than x are those with s_i(x) > 1: a bisection for the least root goes on with these rows alone.
    """
    k = len(members)
    block = gram[members][:, members]
    block = block - block.mean(0)
    values, vectors = torch.linalg.eigh(block - block.mean(1, keepdim=True))
    values, vectors = values.clamp(min=0).numpy(), vectors.numpy()  # for few numbers NumPy is faster
    squares = np.square(vectors) * values * (k / (k - 1))
    low, high = values[-2:].tolist()
    left, bound = np.arange(k), below * (k - 1)
    if bound < high:
        high = bound
        left = left[(squares / (values - bound)).sum(1) > 1] if low < bound else left[:0]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if len(left) < 2 or not low < middle < high:
            break
        fewer = left[(squares[left] / (values - middle)).sum(1) > 1]
        left, low, high = (fewer, low, middle) if len(fewer) else (left, middle, high)
    if not len(left):
        return []
    dropped = int(left[0])
    return [*members[:dropped], *members[dropped + 1 :]]
