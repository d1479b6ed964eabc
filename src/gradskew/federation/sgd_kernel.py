"""The compiled step of SGD: one pass over the matrices of many clients, where torch makes one for each term."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from ..core.compiled import compiled, over_columns
from .terms import Stacked


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


def sgd_step_with(
    terms: Stacked, params: Tensor, grads: Tensor, momenta: Tensor, *, lr: float, momentum: float, clip: float | None
) -> None:
    """Do the same with the terms of the k clients, which include the weight decay."""
    w, g, m = params.numpy(), grads.numpy(), momenta.numpy()
    scales, decays, offsets = terms.scales.numpy()[:, 0], terms.decays.numpy()[:, 0], terms.offsets.numpy()
    bound = math.inf if clip is None else clip
    rate, keep = map(np.float32, (lr, momentum))
    k, d = params.shape

    def work(i: int, j: int) -> None:
        own = offsets if len(offsets) == 1 else offsets[i:j]
        _step_with(w[i:j], g[i:j], m[i:j], scales[i:j], decays[i:j], own, bound, rate, keep)

    list(over_columns((d, k), work))


@compiled
def _clip_factor(gradient, clip):  # type: ignore[no-untyped-def]
    square = 0.0
    if clip < np.inf:
        for k in range(len(gradient)):
            square += np.float64(gradient[k]) * np.float64(gradient[k])
    share = clip / (np.sqrt(square) + 1e-6)
    return np.float32(1.0 if share > 1.0 else share)  # NaN stays NaN


@compiled
def _step(params, grads, momenta, clip, lr, momentum, weight_decay):  # type: ignore[no-untyped-def]
    for i in range(len(params)):
        w, g, m = params[i], grads[i], momenta[i]
        factor = _clip_factor(g, clip)
        for k in range(len(g)):
            m[k] = momentum * m[k] + (factor * g[k] + weight_decay * w[k])
            w[k] -= lr * m[k]


@compiled
def _step_with(params, grads, momenta, scales, decays, offsets, clip, lr, momentum):  # type: ignore[no-untyped-def]
    for i in range(len(params)):
        w, g, m, v = params[i], grads[i], momenta[i], offsets[min(i, len(offsets) - 1)]
        factor, decay = scales[i] * _clip_factor(g, clip), decays[i]
        for k in range(len(g)):
            m[k] = momentum * m[k] + (factor * g[k] + (decay * w[k] + v[k]))
            w[k] -= lr * m[k]
