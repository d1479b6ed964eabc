"""Inputs with mean 0 and standard deviation 1, by the moments of the training part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..core.errors import check
from .base import Array

BLOCK = 1 << 22  # entries that are converted at a time


@dataclass(frozen=True)
class Scaled:
    """Both parts as they are stored; networks get scale * input + shift."""

    train: Array
    test: Array
    scale: Array
    shift: Array


def keep(train: Array, test: Array) -> Scaled:
    """Return both parts with their values unchanged; a missing value (NaN) is the mean of the training part's."""
    if train.dtype.kind != "f":
        return Scaled(train, test, np.array(1.0), np.array(0.0))
    mean, _ = moments(train, _axes(train))
    first, other = (_mapped(part, np.zeros_like(mean), np.ones_like(mean), mean) for part in (train, test))
    return Scaled(first, other, np.array(1.0), np.array(0.0))


def standardise(train: Array, test: Array) -> Scaled:
    """Return both parts minus the mean of the training part, over its standard deviation (divisor N), in float64.

    Vectors (N, F) have a mean and a deviation for each entry, images (N, C, H, W) for each channel, other inputs one
    for all entries. A constant entry is divided by 1. A missing value (NaN) is the mean. Images of bytes stay bytes,
    with the scale and the shift that make the same of them.
    """
    axes = _axes(train)
    if train.dtype == np.uint8 and train.ndim > 2:
        mean, std = _moments_of_bytes(train)
        return Scaled(train, test, 1 / std, -mean / std)
    mean, std = moments(train, axes)
    first, other = (_mapped(part, mean, std, mean) for part in (train, test))
    return Scaled(first, other, np.array(1.0), np.array(0.0))


def moments(values: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the mean and the standard deviation (0 as 1) over these axes, in float64 and without NaN entries.

    The axes stay, with length 1. InputError where an entry has no value, or the squares are too large.
    """
    count, total, squares = (np.zeros(()) for _ in range(3))
    low, high = np.array(math.inf), np.array(-math.inf)
    for block in _blocks(values):
        good = ~np.isnan(block)
        count = count + good.sum(axes, keepdims=True)
        total = total + np.where(good, block, 0).sum(axes, keepdims=True)
        low = np.fmin(low, np.fmin.reduce(block, axes, keepdims=True))
        high = np.fmax(high, np.fmax.reduce(block, axes, keepdims=True))
    check(bool((count > 0).all()), "an input has no value in any training row: leave it out")
    mean = np.where(low == high, low, total / count)  # a constant has no rounding error of its mean for deviations
    with np.errstate(over="ignore"):
        for block in _blocks(values):
            gaps = np.where(np.isnan(block), 0, block - mean)
            squares = squares + (gaps * gaps).sum(axes, keepdims=True)
    std = np.sqrt(squares / count)
    check(bool(np.isfinite(std).all()), "an input has numbers whose squares are too large for float64")
    return mean, np.where(std > 0, std, 1.0)


def _moments_of_bytes(values: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation (0 as 1) of bytes, per channel of (N, C, H, W), exactly."""
    channels = values.shape[1] if values.ndim == 4 else 1
    kept = (channels, 1, 1) if values.ndim == 4 else ()
    parts = [values[:, i] for i in range(channels)] if values.ndim == 4 else [values]
    counts = np.stack([np.bincount(part.reshape(-1), minlength=256) for part in parts]).astype(np.float64)
    levels = np.arange(256.0)
    mean = counts @ levels / counts.sum(1)
    std = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(1) / counts.sum(1))
    return mean.reshape(kept), np.where(std > 0, std, 1.0).reshape(kept)


def _axes(values: Array) -> tuple[int, ...]:
    """Return the axes over which a mean is taken."""
    if values.ndim == 2:
        return (0,)
    return (0, 2, 3) if values.ndim == 4 else tuple(range(values.ndim))


def _blocks(values: Array) -> Iterator[Array]:
    """Yield consecutive rows as float64."""
    rows = max(1, BLOCK // max(1, math.prod(values.shape[1:])))
    for start in range(0, len(values), rows):
        yield values[start : start + rows].astype(np.float64, copy=False)


def _mapped(values: Array, mean: Array, std: Array, missing: Array) -> Array:
    """Return (values - mean) / std as float32, with the standing-in value for a missing one."""
    made = np.empty(values.shape, np.float32)
    start = 0
    for block in _blocks(values):
        filled = np.where(np.isnan(block), missing, block)
        with np.errstate(over="ignore"):  # the data set refuses what float32 does not have
            made[start : start + len(block)] = (filled - mean) / std
        start += len(block)
    return made
