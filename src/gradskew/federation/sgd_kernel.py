"""The compiled step of SGD: one pass over the matrices of many clients, where torch makes one for each term."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from ..core.compiled import compiled, over_columns


def sgd_step(
    params: Tensor,
    grads: Tensor,
    momenta: Tensor,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    clip: float | None,
) -> None:
    """Update params and momenta in place, as `SGD.step` does; (k, d) float32 on the CPU. Norms are added in float64."""
    w, g, m = params.numpy(), grads.numpy(), momenta.numpy()
    bound = math.inf if clip is None else clip
    rate, keep, decay = map(np.float32, (lr, momentum, weight_decay))
    k, d = params.shape  # the chunks are of clients: "columns" of a matrix (d, k)
    list(over_columns((d, k), lambda i, j: _step(w[i:j], g[i:j], m[i:j], bound, rate, keep, decay)))


@compiled
def _step(params, grads, momenta, clip, lr, momentum, weight_decay):  # type: ignore[no-untyped-def]
    for i in range(len(params)):
        w, g, m, square = params[i], grads[i], momenta[i], 0.0
        if clip < np.inf:
            for k in range(len(g)):
                square += np.float64(g[k]) * np.float64(g[k])
        share = clip / (np.sqrt(square) + 1e-6)
        factor = np.float32(1.0 if share > 1.0 else share)  # NaN stays NaN
        for k in range(len(g)):
            m[k] = momentum * m[k] + (factor * g[k] + weight_decay * w[k])
            w[k] -= lr * m[k]
