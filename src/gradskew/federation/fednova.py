"""FedNova's normalisation of rows by the number of local steps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def accumulated(steps: int, momentum: float) -> float:
    """Return a_i, the weight of all gradients of a client's steps in its row, over lr.

    a_i = K for plain SGD, (K - rho (1 - rho^K)/(1 - rho))/(1 - rho) with momentum rho. Wang et al., NeurIPS 2020.

    >>> round(accumulated(3, 0.9), 9), round(accumulated(10, 0.9), 2), accumulated(7, 0.0)
    (5.61, 41.38, 7.0)
    """
    rho = momentum
    return (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)


def factors(steps: Sequence[int], clients: int, momentum: float) -> list[float]:
    """Return the factors a_eff / a_i of rows, with a_eff the median of the first `clients`; 1 without a step.

    Clients without a step do not count in the median.

    >>> factors([2, 4, 8, 0], 4, 0.0)
    [2.0, 1.0, 0.5, 1.0]
    """
    weights = [accumulated(count, momentum) for count in steps]
    effective = statistics.median([weight for weight in weights[:clients] if weight] or [1.0])
    return [effective / weight if weight else 1.0 for weight in weights]
