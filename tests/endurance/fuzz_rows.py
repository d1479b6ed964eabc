"""What the fuzzer gives to rules, attacks and the lens: rows of any shape, size, type and layout."""

from pathlib import Path

import cases
import numpy as np
import torch
from mutations import pick

from gradskew import attacks
from gradskew.skew import examine, measure

SPECIALS = (0.0, -0.0, 1e-45, 1e-30, 1.0, 1e10, 1e30, -1e30, 3e38, -3e38, 1e69, 1e100, np.inf, -np.inf, np.nan)
MODERATE = 1e30  # a forged row is a multiple of what it is made of, and may overflow above


def _rows(rng, n: int, d: int) -> torch.Tensor:
    """A matrix, mostly of finite floats."""
    scale = float(pick(rng, (1.0, 1.0, 1e-30, 1e-44, 1e6, 1e30, 1e38)))
    values = rng.standard_normal((n, d)) * scale
    if rng.random() < 0.4 and values.size:
        for _ in range(int(rng.integers(1, 4))):
            values[int(rng.integers(n)), int(rng.integers(d))] = pick(
                rng, SPECIALS[: 10 if rng.random() < 0.7 else None]
            )
    if rng.random() < 0.3 and n:
        values[:] = values[rng.integers(max(1, int(rng.integers(1, n + 1))), size=n)]
    if rng.random() < 0.15:
        values[rng.random(values.shape) < 0.7] = 0
    kind = pick(rng, (np.float32, np.float32, np.float32, np.float64, np.float64, np.float16, np.int64))
    with np.errstate(all="ignore"):
        return torch.from_numpy(values.astype(kind))


def _laid_out(rng, rows: torch.Tensor) -> torch.Tensor:
    """The same values, or nearly, in another layout."""
    layout = int(rng.integers(7))
    if layout == 1:
        return rows.T.contiguous().T
    if layout == 2:
        return torch.stack([rows, rows], 2)[:, :, 0]
    if layout == 3 and len(rows):
        return rows[:1].expand(len(rows), -1)
    if layout == 4:
        return rows.flip(0)
    if layout == 5 and rows.is_floating_point():
        return rows.clone().requires_grad_()
    if layout == 6 and rng.random() < 0.2:
        return pick(rng, (rows[0] if len(rows) else rows, rows.unsqueeze(0), rows[:0]))
    return rows


def _given(rng) -> tuple[torch.Tensor, int]:
    n, d = int(pick(rng, (1, 2, 3, 4, 5, 7, 9, 12, 0))), int(pick(rng, (1, 2, 3, 8, 40, 300, 0)))
    f = int(pick(rng, (0, 0, 1, 1, 2, 3, 4, n // 2, n, n + 1, -1)))
    return _laid_out(rng, _rows(rng, n, d)), f


def rules(rng, folder: Path) -> None:
    """Rows to a rule: the aggregate is a finite row, the same again, and within the rows where the rule claims that."""
    case = pick(rng, cases.RULES)
    rows, f = _given(rng)
    before = rows.detach().clone()
    outcome = case.rule.explain(rows, f)
    value, again = outcome.value, case.rule(rows, f)
    assert torch.equal(rows.detach(), before)
    assert value.shape == rows.shape[1:]
    assert value.dtype == rows.dtype
    assert torch.equal(value, again)
    assert value.isfinite().all()
    if case.hull:
        low, high = before.double().amin(0), before.double().amax(0)
        slack = 1e-5 * torch.maximum(low.abs(), high.abs()) + 2.0**-148
        assert ((value.double() >= low - slack) & (value.double() <= high + slack)).all(), "outside the rows' hull"
    if outcome.weights is not None:
        assert outcome.weights.isfinite().all()
        if case.hull:
            assert abs(float(outcome.weights.sum()) - 1) < 1e-6


def forgers(rng, folder: Path) -> None:
    """Rows to an attack: it gives f rows like them, the same again, and finite ones for moderate rows."""
    case = pick(rng, cases.ATTACKS)
    honest, _ = _given(rng)
    own = _laid_out(rng, _rows(rng, int(pick(rng, (1, 1, 2, 3, 0))), honest.shape[-1] if rng.random() < 0.95 else 5))
    own = own if own.dtype == honest.dtype or rng.random() < 0.05 else own.to(honest.dtype)
    n = pick(rng, (None, None, len(honest) + len(own) + 3, 1))
    before = honest.detach().clone()
    forged = case.attack.explain(honest, own, n=n).rows
    assert torch.equal(honest.detach(), before)
    assert forged.shape == own.shape
    assert forged.dtype == honest.dtype
    again = case.attack(honest, own, n=n)
    assert torch.equal(forged.nan_to_num(1.5), again.nan_to_num(1.5))
    if case.finite and torch.cat([before, own.detach()]).abs().max() <= MODERATE:
        assert forged.isfinite().all()


def lens(rng, folder: Path) -> None:
    """Rows to the lens: shares are shares, projections are standardised, and nothing is NaN."""
    rows, f = _given(rng)
    skew = measure(rows, f) if rng.random() < 0.5 else None
    if skew is None:
        attack, rule = attacks.make(pick(rng, cases.ATTACKS).name), pick(rng, cases.RULES).rule
        found = examine(rows, [attack], [rule], f)
        skew = found.skew
        for trial in found.trials:
            for number in (trial.kappa, trial.distance, trial.byzantine_share, trial.selected):
                assert number is None or 0 <= number < np.inf
    assert 0 <= skew.principal_share <= 1 + 1e-6
    assert 0 <= skew.shift < np.inf
    assert 0 <= skew.spread < np.inf
    assert skew.density is None or 0 <= skew.density < np.inf
    for projections in (skew.towards, skew.principal):
        values = np.array(projections)
        assert np.isfinite(values).all()
        assert abs(values.mean()) < 1e-6
        assert not values.any() or abs(values.std() - 1) < 1e-3
