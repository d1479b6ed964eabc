"""Rules and attacks as one writes them by hand in torch or NumPy: float32, nothing checked, no rule for ties."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gradskew.core.round import Round
from timing import Work


def scale_rows(rows: Tensor, radius: float | Tensor) -> Tensor:
    return rows * (radius / rows.norm(dim=1)).clamp(max=1)[:, None]


def mean_of(rows: Tensor, scores: Tensor, m: int) -> Tensor:
    """The mean of the m rows of least score."""
    return rows[scores.topk(m, largest=False).indices].mean(0)


def krum_scores(rows: Tensor, f: int) -> Tensor:
    squares = torch.cdist(rows, rows).square()
    return squares.sort(1).values[:, 1 : len(rows) - f - 1].sum(1)


def multikrum(rows: Tensor, f: int) -> Tensor:
    return mean_of(rows, krum_scores(rows, f), len(rows) - f)


def cclip(rows: Tensor, f: int) -> Tensor:
    return scale_rows(rows, 10.0).mean(0)  # from the origin


def rfa(rows: Tensor, f: int) -> Tensor:
    centre = rows.mean(0)
    for _ in range(8):
        weights = 1 / (rows - centre).norm(dim=1).clamp(min=1e-7)
        centre = weights @ rows / weights.sum()
    return centre


def nnm(rows: Tensor, f: int) -> Tensor:
    nearest = torch.cdist(rows, rows).topk(len(rows) - f, largest=False).indices
    return torch.zeros(len(rows), len(rows)).scatter_(1, nearest, 1 / (len(rows) - f)) @ rows


def rbtm(rows: Tensor, f: int) -> Tensor:
    return rows.sort(0).values[f : len(rows) - f].mean(0)


def aksel(rows: Tensor, f: int) -> Tensor:
    distances = (rows - torch.from_numpy(np.median(rows.numpy(), 0))).norm(dim=1)
    return mean_of(rows, distances, (len(rows) + 1) // 2)


def around(rows: Tensor, centre: Tensor, m: int) -> Tensor:
    """Per coordinate, the mean of the m entries nearest to the centre."""
    return rows.gather(0, (rows - centre).abs().topk(m, dim=0, largest=False).indices).mean(0)


def meamed(rows: Tensor, f: int) -> Tensor:
    return around(rows, torch.from_numpy(np.median(rows.numpy(), 0)), len(rows) - f)


def bulyan(rows: Tensor, f: int) -> Tensor:
    left, taken = list(range(len(rows))), []
    squares = torch.cdist(rows, rows).square()
    for _ in range(len(rows) - 2 * f):
        others = max(1, len(left) - f - 2)
        scores = squares[left][:, left].sort(1).values[:, 1 : others + 1].sum(1)
        taken.append(left.pop(int(scores.argmin())))
    selected = rows[taken]
    return around(selected, torch.from_numpy(np.median(selected.numpy(), 0)), len(rows) - 4 * f)


def dnc(rows: Tensor, f: int) -> Tensor:
    sample = rows[:, torch.randint(rows.shape[1], (1000,))]
    sample = sample - sample.mean(0)
    direction = torch.linalg.svd(sample, full_matrices=False).Vh[0]
    return mean_of(rows, (sample @ direction).square(), len(rows) - f)


def arc(rows: Tensor, f: int) -> Tensor:
    norms = rows.norm(dim=1)
    return scale_rows(rows, norms.sort(descending=True).values[2 * f * (len(rows) - f) // len(rows)])


def fltrust(rows: Tensor, f: int, root: Tensor) -> Tensor:
    norms = rows.norm(dim=1)
    trust = (rows @ root / (norms * root.norm())).clamp(min=0)
    return (trust * root.norm() / norms) @ rows / trust.sum()


def foolsgold(rows: Tensor, f: int) -> Tensor:
    directions = torch.nn.functional.normalize(rows)
    cosines = (directions @ directions.T).fill_diagonal_(0)
    largest = cosines.max(1).values.clamp(min=0)
    pardoned = cosines * (largest[:, None] / largest).clamp(max=1)
    weights = 1 - pardoned.max(1).values.clamp(min=0)
    weights = (weights / weights.max()).clamp(max=0.99).logit().add(0.5).clamp(0, 1)
    return weights @ rows / weights.sum()


def clippedclustering(rows: Tensor, f: int) -> Tensor:
    from sklearn.cluster import AgglomerativeClustering

    directions = torch.nn.functional.normalize(rows)
    distances = 1 - directions @ directions.T
    labels = AgglomerativeClustering(metric="precomputed", linkage="average").fit_predict(distances.numpy())
    larger = torch.from_numpy(labels == np.bincount(labels).argmax())
    return scale_rows(rows, rows.norm(dim=1).quantile(0.5))[larger].mean(0)


def rlr(rows: Tensor, f: int) -> Tensor:
    return torch.where(rows.sign().sum(0).abs() < 2 * f, -1, 1) * rows.mean(0)


def usual(values: Tensor) -> Tensor:
    """Which values are less than one standard deviation from their median."""
    return (values - values.quantile(0.5)).abs() < values.std(correction=0)


def alignins(rows: Tensor, f: int, model: Tensor) -> Tensor:
    cosines = torch.nn.functional.cosine_similarity(rows, model)
    signs = rows.sign()
    largest = rows.abs().topk(int(0.3 * rows.shape[1])).indices
    alike = (signs == signs.sum(0).sign()).gather(1, largest).float().mean(1)
    chosen = rows[usual(cosines) & usual(alike)]
    return scale_rows(chosen, chosen.norm(dim=1).quantile(0.5)).mean(0)


def fedseca(rows: Tensor, f: int) -> Tensor:
    signs = rows.sign()
    elected = ((signs @ signs.T).sign().mean(1).clamp(min=0) @ signs).sign()
    clipped = scale_rows(rows, rows.norm(dim=1).quantile(0.5))
    bound = torch.from_numpy(np.median(clipped.abs().numpy(), 0))
    clipped = clipped.clamp(-bound, bound)
    kept = rows.abs().topk(rows.shape[1] - int(0.9 * rows.shape[1])).indices
    sparse = torch.zeros_like(rows).scatter_(1, kept, clipped.gather(1, kept))
    counted = (sparse != 0) & ((sparse.sign() == elected) | (elected == 0))
    return (sparse * counted).sum(0) / counted.sum(0).clamp(min=1)


def lasa(rows: Tensor, f: int, round: Round) -> Tensor:
    clipped, value = scale_rows(rows, rows.norm(dim=1).quantile(0.5)), torch.empty(rows.shape[1])
    weights = [layer.columns for layer in round.layers.values() if len(layer.shape) > 1]
    thin = torch.cat([clipped[:, each] for each in weights], 1).abs()
    dropped = thin.shape[1] - int(0.7 * thin.shape[1])
    limit = thin.kthvalue(dropped, dim=1).values[:, None] if dropped else torch.full((len(rows), 1), -1.0)
    for layer in round.layers.values():
        dense = clipped[:, layer.columns]
        sparse = torch.where(dense.abs() > limit, dense, 0) if len(layer.shape) > 1 else dense
        signs = sparse.sign()
        purity = (1 + signs.sum(1) / signs.abs().sum(1)) / 2
        chosen = usual(sparse.norm(dim=1)) & usual(purity)
        value[layer.columns] = dense[chosen if chosen.any() else ~chosen].mean(0)
    return value


def foundation(rows: Tensor, f: int) -> Tensor:
    high, low = rows.amax(0), rows.amin(0)
    nearest = torch.minimum((rows - high).norm(dim=1), (rows - low).norm(dim=1))
    return torch.cat([rows, rows[int(nearest.argmax())].expand(len(rows) // 2, -1)])


def lie(honest: Tensor) -> Tensor:
    return honest.mean(0) + 1.5 * honest.std(0, correction=0)


def farthest(honest: Tensor, fits: Callable[[Tensor], bool]) -> Tensor:
    """Mean plus gamma standard deviations, gamma the largest that fits, by halving steps."""
    mean, deviation, gamma, step = honest.mean(0), honest.std(0, correction=0), 0.0, 10.0
    while step > 1e-5:
        if fits((honest - (mean + (gamma + step) * deviation)).norm(dim=1).square()):
            gamma += step
        else:
            step /= 2
    return mean + gamma * deviation


def minmax(honest: Tensor) -> Tensor:
    largest = torch.cdist(honest, honest).square().max()
    return farthest(honest, lambda squares: bool(squares.max() <= largest))


def minsum(honest: Tensor) -> Tensor:
    largest = torch.cdist(honest, honest).square().sum(1).max()
    return farthest(honest, lambda squares: bool(squares.sum() <= largest))


def works(updates: Tensor, f: int, round: Round) -> tuple[dict[str, Work], dict[str, str]]:
    """Return the calls by our names on these rows, and ours where other options than the default are the same."""
    n, array = len(updates), updates.numpy()
    rules = [cclip, multikrum, rfa, rbtm, aksel, meamed, bulyan, dnc, foolsgold, clippedclustering, rlr, fedseca]
    calls: dict[str, Work] = {rule.__name__: partial(rule, updates, f) for rule in rules}
    calls |= {attack.__name__: partial(attack, updates[f:]) for attack in (lie, minmax, minsum)}
    return calls | {
        "mean": lambda: updates.mean(0),
        "median": lambda: updates.median(0).values,
        "krum": lambda: updates[int(krum_scores(updates, f).argmin())],
        "cge": lambda: mean_of(updates, updates.norm(dim=1), n - f),
        "monna": lambda: mean_of(updates, (updates - updates[-1]).norm(dim=1), n - f),
        "fltrust": lambda: fltrust(updates, f, round.reference),
        "alignins": lambda: alignins(updates, f, round.params),
        "lasa": lambda: lasa(updates, f, round),
        "nnm+multikrum": lambda: multikrum(nnm(updates, f), f),
        "nnm+rfa": lambda: rfa(nnm(updates, f), f),
        "nnm+median": lambda: torch.from_numpy(np.median(nnm(updates, f).numpy(), 0)),
        "bucketing+rfa": lambda: rfa(updates.unflatten(0, (-1, 2)).mean(1), f),
        "clipping+mean": lambda: scale_rows(updates, 2.0).mean(0),
        "arc+multikrum": lambda: multikrum(arc(updates, f), f),
        "foundation+rbtm": lambda: rbtm(foundation(updates, f), f),
        "keep+median": lambda: np.median(array[krum_scores(updates, f).topk(n - f, largest=False).indices], 0),
        "ipm": lambda: -0.1 * updates[f:].mean(0),
        "bitflip": lambda: -updates[:f],
    }, {"median": "median(middle=lower)", "bucketing+rfa": "bucketing(s=2,shuffle=False)+rfa"}
