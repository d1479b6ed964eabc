from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ceil_share, check_choice, check_number
from ..core.rows import BLOCK_BYTES, Rows
from .base import WeightedRule
from .clipping import clipped_average
from .ties import TIE

DIRECTIONS = 32  # with 8 the least sum was missed in 2 of 600 cases, with 16 in none
PLANE = np.array([[1, 0, -1], [1, -2, 1]]).T / np.sqrt([2, 6])  # of three shares whose sum is 1
ROUNDING = 1e-9  # of a bandwidth
MOST_SHIFTS, SMALL_SHIFT = 301, 1e-3  # of mean shift, or of Lloyd; of the bandwidth, below which a seed has arrived


@dataclass(frozen=True, kw_only=True)
class SignGuard(WeightedRule):
    """Average the rows of usual norm and of the largest cluster by their shares of signs, clipped to the median norm.

    M is the median of the norms. S1: the rows with low * M <= |g_i| <= high * M, up to rounding. S2: on a share of the
    columns, the shares of positive, zero and negative entries of each row; each of the three divided by its maximum
    over the rows (zeros stay); clustered; the largest cluster, of equal ones that with the lowest row. S is both, or S1
    if both have no row in common. The aggregate is the mean over S of g_i min(1, M / |g_i|), 0 if S is empty.
    f is not used.

    share: of the columns. draw: a `window` of consecutive ones, as in the authors' code, or `random` ones. cluster:
    `meanshift` with a flat kernel, as scikit-learn's, whose bandwidth is the mean over the rows of the distance to the
    (n // 2)-th nearest one, itself included; `kmeans`, two clusters, shares not divided.
    """

    key: ClassVar[str] = "signguard"
    title: ClassVar[str] = "SignGuard"
    source: ClassVar[str] = "Xu, Huang, Song and Lan, ICDCS 2022"
    share: float = 0.1
    low: float = 0.1
    high: float = 3.0
    draw: str = "window"
    cluster: str = "meanshift"

    def __post_init__(self) -> None:
        check_number("share", self.share, above=0, at_most=1)
        check_number("low", self.low, at_least=0)
        check_number("high", self.high, at_least=self.low)
        check_choice("draw", self.draw, ("window", "random"))
        check_choice("cluster", self.cluster, ("meanshift", "kmeans"))

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        radius = rows.norms.quantile(0.5)
        norms, slack = rows.norms, TIE * rows.norms
        usual = (norms >= self.low * radius - slack) & (norms <= self.high * radius + slack)
        alike = torch.from_numpy(self._largest_cluster(self._shares(rows, generator))).to(usual.device)
        chosen = usual & alike if bool((usual & alike).any()) else usual
        return clipped_average(norms, radius, chosen), {"usual norm": int(usual.sum()), "alike": int(alike.sum())}

    def _shares(self, rows: Rows, generator: torch.Generator) -> np.ndarray:
        """Return the shares of positive, zero and negative entries of each row on the drawn columns: (n, 3)."""
        width = min(rows.d, max(1, ceil_share(self.share, rows.d)))
        if self.draw == "random":
            index = torch.randperm(rows.d, generator=generator)[:width]
        else:
            start = int(torch.randint(rows.d - width + 1, (), generator=generator))
            index = torch.arange(start, start + width)
        counts = torch.zeros(rows.n, 3, dtype=torch.float64)
        for part in index.split(max(64, BLOCK_BYTES // (8 * rows.n))):
            signs = rows.columns(part).sign().cpu()
            counts += torch.stack([(signs == sign).sum(1) for sign in (1, 0, -1)], 1)
        return (counts / width).numpy()

    def _largest_cluster(self, shares: np.ndarray) -> np.ndarray:
        """Return which rows are in the largest cluster: (n,) bool."""
        order = np.lexsort(shares.T)  # the result does not depend on the order of the rows
        labels = np.empty(len(shares), dtype=int)
        labels[order] = (_kmeans if self.cluster == "kmeans" else _meanshift)(shares[order])
        sizes = [(labels == label).sum() if label >= 0 else 0 for label in labels]  # -1: in no cluster
        first = int(np.argmax(sizes))
        return labels == labels[first] if sizes[first] else np.ones(len(labels), dtype=bool)

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return infinity for f > 0: rows of the signs of equal honest ones, but ten times shorter, are averaged."""
        return math.inf if f else None


def _meanshift(shares: np.ndarray) -> np.ndarray:
    """Return the clusters of mean shift with a flat kernel, -1 for none; equal rows form one cluster.

    As scikit-learn's `MeanShift(bin_seeding=True, cluster_all=False)`, which the authors call, all seeds at once. The
    seeds are the occupied points of a grid as wide as the bandwidth, or the rows if each has a point of its own. Each
    moves to the mean of the rows within the bandwidth. Of two seeds within it of each other the one with more rows
    stays.
    """
    largest = shares.max(0)
    shares = shares / np.where(largest > 0, largest, 1)
    bandwidth = np.sort(_distances(shares, shares))[:, max(1, len(shares) // 2) - 1].mean()
    if bandwidth <= ROUNDING:
        return np.unique(shares, axis=0, return_inverse=True)[1].ravel()
    grid = np.unique(np.round(shares / bandwidth), axis=0)
    centres = shares.copy() if len(grid) == len(shares) else grid * bandwidth
    counts, moving = np.zeros(len(centres), dtype=int), np.arange(len(centres))
    reach = bandwidth * (1 + TIE)  # a distance equal to the bandwidth is within it, however it is rounded
    for _ in range(MOST_SHIFTS):
        near = _distances(centres[moving], shares) <= reach
        counts[moving] = near.sum(1)
        near, moving = near[counts[moving] > 0], moving[counts[moving] > 0]
        means = near @ shares / counts[moving, None]
        steps = np.sqrt(np.square(means - centres[moving]).sum(1))
        centres[moving] = means
        moving = moving[steps > SMALL_SHIFT * bandwidth]
        if not len(moving):
            break
    modes = centres[np.lexsort((*centres.T[::-1], counts))[::-1]][: (counts > 0).sum()]
    apart, left = _distances(modes, modes) > reach, np.ones(len(modes), dtype=bool)
    for mode in range(len(modes)):
        if left[mode]:
            left &= apart[mode]
            left[mode] = True
    distances = _distances(shares, modes[left])
    labels: np.ndarray = np.where(distances.min(1) <= reach, distances.argmin(1), -1)
    return labels


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the distances of rows (m, k) to rows (n, k): (m, n), of equal rows exactly 0."""
    distances: np.ndarray = np.sqrt(np.square(a[:, None] - b).sum(2))
    return distances


def _kmeans(shares: np.ndarray) -> np.ndarray:
    """Return two clusters of little sum of squared distances to their means; equal rows form one.

    Shares lie in a plane, where a line parts the two of least sum. So: along each of 32 directions the best cut, then
    Lloyd's iteration from all of these at once, and the best result.
    """
    if (shares == shares[0]).all():
        return np.zeros(len(shares), dtype=int)
    points = (shares - shares.mean(0)) @ PLANE
    angles = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
    order = (points @ np.stack([np.cos(angles), np.sin(angles)])).argsort(0, kind="stable")
    left = np.arange(1, len(points))[:, None]
    gains = np.square(points[order].cumsum(0)[:-1]).sum(2) * (1 / left + 1 / (len(points) - left))
    labels = (order.argsort(0) > gains.argmax(0)).T.astype(int)
    for _ in range(MOST_SHIFTS):
        members = np.stack([labels == 0, labels == 1], 1)
        centres = members @ points / members.sum(2, keepdims=True)
        squares = np.square(centres[:, :, None] - points).sum(3)
        before, labels = labels, squares.argmin(1)
        if np.array_equal(before, labels):
            break
    spreads = squares.min(1).sum(1)
    best: np.ndarray = labels[np.argmax(spreads <= spreads.min() * (1 + TIE))]
    return best
