"""Our rules against the NumPy aggregation functions of Flower 1.41. Differences: docs/semantics.md."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flwr.server.strategy.aggregate import aggregate, aggregate_krum, aggregate_median, aggregate_trimmed_avg

from gradskew import aggregators

SHAPES = [(5, 1, 3), (11, 3, 40), (20, 0, 100), (50, 10, 1000)]


def pair(n, d, seed):
    """The same rows for us and, as two layers with one example per client each, for them."""
    values = np.random.default_rng(seed).normal(1.0, 1.0, (n, d)) * (1 + np.arange(n)[:, None] / n)
    return torch.from_numpy(values), [([row[: d // 2], row[d // 2 :]], 1) for row in values]


def close(value, layers):
    np.testing.assert_allclose(value.numpy(), np.concatenate(layers), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_rules(n, f, d, seed):
    updates, results = pair(n, d, seed)
    close(aggregators.make("mean")(updates, f), aggregate(results))
    close(aggregators.make("median")(updates, f), aggregate_median(results))
    share = (f + 0.5) / n  # they cut int(share * n) rows at each end
    close(aggregators.make("rbtm")(updates, f), aggregate_trimmed_avg(results, share))
    close(aggregators.make("multikrum")(updates, f), aggregate_krum(results, f, to_keep=n - f))
    close(aggregators.make("multikrum(m=1)")(updates, f), aggregate_krum(results, f, to_keep=0))
