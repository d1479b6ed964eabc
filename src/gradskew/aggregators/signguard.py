from __future__ import annotations

import math
import warnings
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

KMEANS_SEED = 0
ROUNDING = 1e-9  # of a bandwidth


@dataclass(frozen=True, kw_only=True)
class SignGuard(WeightedRule):
    """Average the rows of usual norm and of the largest cluster by their shares of signs, clipped to the median norm.

    M is the median of the norms. S1: the rows with low * M <= |g_i| <= high * M, up to rounding. S2: on a share of the
    columns, the shares of positive, zero and negative entries of each row; each of the three divided by its maximum
    over the rows (zeros stay); clustered; the largest cluster, of equal ones that with the lowest row. S is both, or S1
    if both have no row in common. The aggregate is the mean over S of g_i min(1, M / |g_i|), 0 if S is empty.
    f is not used.

    share: of the columns. draw: a `window` of consecutive ones, as in the authors' code, or `random` ones. cluster:
    `meanshift`, scikit-learn's, whose bandwidth is the mean over the rows of the distance to the (n // 2)-th nearest
    one, itself included; `kmeans`, two clusters, shares not divided.
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
    """Return the clusters of scikit-learn's mean shift, as the authors call it; equal rows form one cluster."""
    from sklearn import config_context
    from sklearn.cluster import MeanShift

    largest = shares.max(0)
    shares = shares / np.where(largest > 0, largest, 1)
    distances = np.sqrt(np.square(shares[:, None] - shares).sum(2))  # of equal rows exactly 0
    bandwidth = np.sort(distances)[:, max(1, len(shares) // 2) - 1].mean()
    if bandwidth <= ROUNDING:
        return np.unique(shares, axis=0, return_inverse=True)[1].ravel()
    unchecked = config_context(assume_finite=True, skip_parameter_validation=True)  # the checks take a third of a call
    with unchecked, warnings.catch_warnings(action="ignore"):  # few rows: it takes each as a seed, and says so
        labels: np.ndarray = MeanShift(bandwidth=bandwidth, bin_seeding=True, cluster_all=False).fit(shares).labels_
    return labels


def _kmeans(shares: np.ndarray) -> np.ndarray:
    """Return two clusters; equal rows form one."""
    from sklearn.cluster import KMeans

    if len(np.unique(shares, axis=0)) < 2:
        return np.zeros(len(shares), dtype=int)
    labels: np.ndarray = KMeans(2, n_init=10, random_state=KMEANS_SEED).fit(shares).labels_
    return labels
