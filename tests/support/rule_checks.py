"""Whether an outcome of a rule is one that its definition allows, against the oracle: one check for each rule.

A check is given the rule, the exact float64 rows (n, d), f, and what the rule did. Where two choices are closer than
rounding, either is allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
import oracle
import oracle_rules
import torch
from cases import TOLERANCE, assert_close, assert_lowest, assert_weighted

from gradskew.aggregators import Outcome
from gradskew.core.round import Round
from gradskew.core.rows import Rows

FEW = 300  # subsets that the oracle goes through


@dataclass(frozen=True)
class Call:
    """A call of a rule. noise: the float64 error of the rows. generator: in the state in which the rule got it.

    given: the rows as the rule got them.
    """

    rule: Any
    rows: np.ndarray
    f: int
    outcome: Outcome
    noise: float
    generator: torch.Generator
    given: Rows

    @property
    def round(self) -> Round:
        return self.given.round

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def value(self) -> np.ndarray:
        return self.outcome.value.double().numpy()

    @property
    def weights(self) -> np.ndarray:
        assert self.outcome.weights is not None
        return self.outcome.weights.numpy()

    @property
    def inside(self) -> np.ndarray:
        return self.weights > 0

    def is_value(self, exact: np.ndarray, used: np.ndarray | None = None) -> None:
        """Assert the aggregate; used: the entries it comes from (k, d), all rows by default."""
        used = self.rows if used is None else used
        assert_close(self.value, exact, np.ptp(used, axis=0), np.abs(used).max(axis=0))

    def is_weighted_value(self, exact: np.ndarray) -> None:
        """Assert the aggregate within the rounding of its own weighted sum."""
        share = np.abs(self.weights)[:, None]
        spread = (share * np.abs(self.rows - exact)).sum(axis=0)
        assert_close(self.value, exact, spread, (share * np.abs(self.rows)).sum(axis=0))

    def keeps_lowest(self, scores: np.ndarray, count: int, noise: float | None = None) -> None:
        """Assert that the rule averages the `count` rows of the lowest scores."""
        assert self.inside.sum() == count
        assert_lowest(scores, self.inside, self.noise if noise is None else noise)


def check_multikrum(call: Call) -> None:
    rule, n, f = call.rule, call.n, call.f
    if rule.select == "one-by-one":
        count = max(1, n - 2 * f - 2)
        wanted, clear = oracle_rules.taken_one_by_one(
            call.rows, f, count, lambda rows: oracle_rules.one_by_one_scores(rows, f)
        )
        assert call.inside.sum() == count
        assert not clear or set(np.flatnonzero(call.inside)) == set(wanted)
        return
    scores = oracle.multikrum_scores(call.rows, f, rule.neighbours)
    call.keeps_lowest(scores, n - f if rule.m is None else rule.m, call.noise * n)


def check_median(call: Call) -> None:
    ordered = np.sort(call.rows, axis=0)
    used = ordered[(call.n - 1) // 2 : call.n // 2 + 1]
    call.is_value(oracle.median(call.rows, call.f, call.rule.middle), used)


def check_rbtm(call: Call) -> None:
    n, k = call.n, call.f if call.rule.share is None else oracle_rules.floor_share(call.rule.share, call.n)
    used = np.sort(call.rows, axis=0)[k : n - k]
    exact = used.mean(axis=0)
    if call.rule.tails == "clamp":
        exact = np.clip(np.sort(call.rows, axis=0), used[0], used[-1]).mean(axis=0)
    call.is_value(exact, used)


def check_rfa(call: Call) -> None:
    rule = call.rule
    if rule.tol is None:
        examples = call.round.examples if rule.shares == "examples" else torch.ones(call.n)
        shares = (examples / examples.sum()).double().numpy()
        return call.is_weighted_value(oracle.rfa(call.rows, call.f, rule.start, rule.steps, rule.nu, shares))
    point = np.average(call.rows, axis=0, weights=call.weights)
    after = (oracle.rfa_weights(call.rows, point, rule.nu)[:, None] * call.rows).sum(axis=0)
    assert call.outcome.notes["steps"] <= rule.steps
    if call.outcome.notes["steps"] < rule.steps:  # it has converged: another step moves it by tol or less
        assert np.linalg.norm(after - point) <= rule.tol * 1.001 + 1e-9 * np.abs(call.rows).max()
    return None


def check_aksel(call: Call) -> None:
    scores = oracle.aksel_scores(call.rows, call.rule.middle)
    assert_lowest(scores, call.inside, call.noise)
    if call.rule.select == "n-f":
        assert call.inside.sum() == call.n - call.f
    else:
        threshold = np.sort(scores)[(call.n - 1) // 2]
        assert call.inside.sum() >= (call.n + 1) // 2
        assert (np.sqrt(scores[call.inside]) <= np.sqrt(threshold) * (1 + 1e-5) + call.noise).all()


def check_cclip(call: Call) -> None:
    centre = {"mean": oracle.mean, "median": oracle.median}.get(call.rule.start)
    start = None if centre is None else centre(call.rows)
    start = start if call.rule.centre is None else call.round.reference.double().numpy()
    tau = call.rule.tau if call.rule.tau != "least" else float(oracle_rules.norms(call.rows - start).min())
    exact = oracle.cclip(call.rows, call.f, start, tau, call.rule.steps)
    share = np.asarray(call.weights)[:, None]
    spread, magnitude = (share * np.abs(call.rows - exact)).sum(axis=0), (share * np.abs(call.rows)).sum(axis=0)
    assert_close(call.value, exact, spread, magnitude + (0 if start is None else np.abs(start)))


def check_dnc(call: Call) -> None:
    rule, rows = call.rule, call.rows
    if rule.iterations > 1:
        return
    columns = np.arange(rows.shape[1]) if rule.b is None else rule._draw(rows.shape[1], call.generator).numpy()
    sample = rows[:, columns]
    centred = sample - sample.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False)
    assert call.inside.sum() == call.n - int(np.ceil(rule.c * call.f))
    if len(values) == 1 or values[0] > (1 + 1e-6) * values[1]:  # else the direction is anyone's choice
        size = np.sqrt(oracle.squared_norms(centred)).max()
        assert_lowest(oracle.dnc_scores(rows, columns), call.inside, 1e-9 * size + call.noise)


def check_consensus(call: Call) -> None:
    rule = call.rule
    exact = oracle_rules.consensus(call.rows, call.f, rule.ridge, rule.power, rule.steps)
    if exact.clear:
        call.is_weighted_value(exact.value)


def check_ptm(call: Call) -> None:
    exact = oracle_rules.ptm(call.rows, call.f)
    if exact.clear:
        call.is_weighted_value(exact.value)


def check_average(call: Call) -> None:
    values = []
    for rule in (call.rule.a, call.rule.b):
        before = torch.Generator()
        before.set_state(call.generator.get_state())
        outcome = rule.outcome(call.given, call.f, call.generator)
        CHECKS[rule.key](replace(call, rule=rule, outcome=outcome, generator=before))
        values.append(outcome.value.double().numpy())
    call.is_value(np.mean(values, axis=0), np.array(values))


def check_vote(call: Call) -> None:
    values, letters = [], "ab"
    for letter in letters:
        rule, before = getattr(call.rule, letter), torch.Generator()
        before.set_state(call.generator.get_state())
        outcome = rule.outcome(call.given, call.f, call.generator)
        CHECKS[rule.key](replace(call, rule=rule, outcome=outcome, generator=before))
        values.append(outcome.value.double().numpy())
    present = call.round.params.double().numpy()
    asked = torch.tensor(np.array([present, present - values[0], present - values[1]]))
    losses = call.round.losses(asked, call.round.clients).numpy()
    gains = np.sort(losses[0] - losses[1:], axis=1)[:, (call.n - 1) // 2]
    noise = 1e-5 * np.abs(losses).max()  # the rule asks for models as float32
    chosen = call.outcome.notes["vote"]
    if chosen == "stay":
        assert call.rule.stay
        assert gains.max() <= noise
        assert not call.value.any()
        return
    place = letters.index(chosen)
    assert gains[place] >= gains.max() - noise
    assert not call.rule.stay or gains[place] > -noise
    call.is_value(values[place])


def check_mean(call: Call) -> None:
    weights = None if call.rule.weights == "equal" else np.asarray(call.round.examples, dtype=np.float64)
    call.is_weighted_value(np.average(call.rows, axis=0, weights=weights))


def check_fltrust(call: Call) -> None:
    exact = oracle.fltrust_weights(call.rows, call.round.reference, call.rule.none_trusted)
    np.testing.assert_allclose(call.weights, exact, rtol=1e-6, atol=1e-9 * exact.max())


def check_meamed(call: Call) -> None:
    low, high = oracle_rules.meamed_bounds(call.rows, call.f, call.rule.centre, call.rule.middle, TOLERANCE["ulp"])
    is_between(call.value, low, high)


def is_between(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Assert that a vector lies between two others, within the tolerance."""
    assert_close(np.maximum(value, high), high, high - low, np.abs(high))
    assert_close(np.minimum(value, low), low, high - low, np.abs(low))


def check_cge(call: Call) -> None:
    call.keeps_lowest(oracle.squared_norms(call.rows), call.n - call.f)


def check_monna(call: Call) -> None:
    pivot = call.round.reference.numpy() if call.rule.pivot == "reference" else call.rows[call.rule.pivot]
    call.keeps_lowest(oracle.squared_norms(call.rows - pivot), call.n - call.f)


def check_mda(call: Call) -> None:
    assert call.inside.sum() == call.n - call.f
    if comb(call.n, call.f) > FEW:
        return
    sizes = oracle_rules.diameters(call.rows, call.f)
    chosen, wanted = tuple(np.flatnonzero(call.inside)), min(sizes.values())
    assert sizes[chosen] <= wanted * (1 + TOLERANCE["score"]) + call.noise**2
    tied, near = ([s for s in sizes if sizes[s] <= wanted * (1 + slack)] for slack in (1e-12, 1e-4))
    if call.noise or tied != near:  # rounding may decide
        return
    if call.rule.ties == "first":
        assert chosen == tied[0]
    else:
        distances = oracle.squared_distances(call.rows)
        sums = [distances[np.ix_(s, s)].sum() for s in (chosen, *tied)]
        assert sums[0] <= min(sums) * (1 + TOLERANCE["score"])


def check_smea(call: Call) -> None:
    assert call.inside.sum() == call.n - call.f
    if call.rule.search == "exact" and comb(call.n, call.f) <= FEW:
        wanted = oracle_rules.least_top_variance(call.rows, call.f)
        size = oracle_rules.top_variance(call.rows, np.flatnonzero(call.inside))
        assert size <= wanted * (1 + TOLERANCE["score"]) + (1e-12 * np.abs(call.rows).max()) ** 2


def check_caf(call: Call) -> None:
    exact, clear = oracle_rules.caf(call.rows, call.f)
    if clear:
        call.is_weighted_value(exact)


def check_bulyan(call: Call) -> None:
    rows, n, f = call.rows, call.n, call.f
    chosen = call.rule.chosen(torch.from_numpy(oracle.squared_distances(rows)), f).numpy()
    if call.rule.select == "once":
        assert_lowest(oracle_rules.krum_scores(rows, f), np.isin(np.arange(n), chosen), call.noise * n)
    else:
        scores = lambda left: oracle_rules.krum_scores(left, f) if len(left) > 1 else np.zeros(1)  # noqa: E731
        wanted, clear = oracle_rules.taken_one_by_one(rows, f, n - 2 * f, scores)
        if not clear:
            return
        assert list(wanted) == list(chosen)
    middles = oracle.median(rows[chosen], f, call.rule.middle)
    pairs = [
        oracle_rules.nearest_means(rows[chosen, k], float(middles[k]), n - 4 * f, TOLERANCE["ulp"])
        for k in range(rows.shape[1])
    ]
    is_between(call.value, np.array([low for low, _ in pairs]), np.array([high for _, high in pairs]))


def check_flame(call: Call) -> None:
    rows = call.rows
    models = call.round.params.double().numpy() - rows if call.rule.of == "models" else rows
    distances = 1 - oracle_rules.cosines(models)
    np.fill_diagonal(distances, 0)
    exact, farther = oracle_rules.majority(distances, 1e-9)
    radius = float(np.median(oracle_rules.norms(rows)))
    assert radius == 0 or set(np.flatnonzero(call.inside).tolist()) <= farther
    if exact == farther:
        radius = float(np.median(oracle_rules.norms(rows)))
        wanted = np.isin(np.arange(call.n), list(farther)) * oracle_rules.factors(rows, radius) / len(farther)
        np.testing.assert_allclose(call.weights, wanted, rtol=1e-6, atol=1e-12)


def check_foolsgold(call: Call) -> None:
    rows = call.rows
    if call.rule.features == "output":
        name = "output" if "output" in call.round.layers else "bias"
        rows = rows[:, call.round.layers[name].columns.start :]
    wanted = oracle_rules.foolsgold(oracle_rules.cosines(rows))
    total = {"weights": wanted.sum(), "n": call.n, "sum": 1.0}[call.rule.scale] or 1.0
    np.testing.assert_allclose(call.weights, wanted / total, atol=2e-5)


def check_signguard(call: Call) -> None:
    rule, d = call.rule, call.rows.shape[1]
    width = min(d, max(1, int(np.ceil(round(rule.share * d, 9)))))
    if rule.draw == "random":
        columns = torch.randperm(d, generator=call.generator)[:width].numpy()
    else:
        start = int(torch.randint(d - width + 1, (), generator=call.generator))
        columns = np.arange(start, start + width)
    usual, formed = oracle_rules.signguard(call.rows, columns, rule.low, rule.high, rule.cluster)
    factors = oracle_rules.factors(call.rows, float(np.median(oracle_rules.norms(call.rows))))
    chosen = [usual & alike if (usual & alike).any() else usual for alike in formed]
    wanted = [factors * each / max(1, each.sum()) for each in chosen]
    assert any(np.allclose(call.weights, weights, rtol=1e-6, atol=1e-12) for weights in wanted), wanted


def check_lasa(call: Call) -> None:
    layers = [(x.columns.start, x.columns.stop, len(x.shape) > 1) for x in call.round.layers.values()]
    bounds = (call.rule.lambda_n, call.rule.lambda_s)
    exact, clear = oracle_rules.lasa(call.rows, layers, call.rule.sparsity, bounds, call.rule.average == "dense")
    if clear:
        radius = float(np.median(oracle_rules.norms(call.rows)))
        call.is_value(exact, oracle_rules.clipping(call.rows, radius))


def check_gas(call: Call) -> None:
    rule, (n, d) = call.rule, call.rows.shape
    groups = torch.randperm(d, generator=call.generator).split(-(-d // rule.p))
    f = min(call.f, rule.base.max_f(n))
    base = {"median": oracle.median, "multikrum": lambda rows: oracle.multikrum(rows, f)}[rule.base.key]
    call.keeps_lowest(oracle_rules.gas_scores(call.rows, groups, base) ** 2, n - call.f, call.noise * len(groups))


def check_clippedclustering(call: Call) -> None:
    rows, rule = call.rows, call.rule
    radius = min(rule.tau, float(np.median(oracle_rules.norms(rows))))
    clipped = oracle_rules.clipping(rows, radius)
    chosen, clear = oracle_rules.clusters(rows, rule.linkage)
    if clear:
        part = clipped[sorted(chosen)]
        call.is_value(part.mean(axis=0) if rule.agg == "mean" else np.median(part, axis=0), clipped)


def check_rlr(call: Call) -> None:
    rule = call.rule
    call.is_value(oracle_rules.rlr(call.rows, call.f, rule.theta, rule.vote, rule.scale))


def check_fedseca(call: Call) -> None:
    radius = float(np.median(oracle_rules.norms(call.rows)))
    call.is_value(oracle_rules.fedseca(call.rows, call.rule.gamma), oracle_rules.clipping(call.rows, radius))


def check_alignins(call: Call) -> None:
    rule = call.rule
    signs, direction = oracle_rules.alignins(call.rows, call.round.params, rule.sparsity)
    near = [np.abs(signs - rule.lambda_s), np.abs(direction - rule.lambda_c)]
    if any(((each > 1e-12) & (each < 1e-6)).any() for each in near):
        return
    chosen = (signs < rule.lambda_s - 1e-9) & (direction < rule.lambda_c - 1e-9)
    radius = float(np.median(oracle_rules.norms(call.rows[chosen]))) if chosen.any() else 0.0
    wanted = chosen * oracle_rules.factors(call.rows, radius) / max(1, chosen.sum())
    np.testing.assert_allclose(call.weights, wanted, rtol=1e-6, atol=1e-12)


CHECKS: dict[str, Callable[[Call], None]] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}


def is_weighted_sum(rule: Any) -> bool:
    """Whether the aggregate is the weighted sum of the rows alone."""
    if rule.key == "average":
        return is_weighted_sum(rule.a) and is_weighted_sum(rule.b)
    return not (rule.key == "cclip" and (rule.start == "median" or rule.centre))  # where the rest of the weight lies


def check_outcome(call: Call) -> None:
    """Assert that a rule's outcome is one that its definition allows; every rule has a check."""
    CHECKS[call.rule.key](call)
    if call.outcome.weights is not None and is_weighted_sum(call.rule):
        assert_weighted(call.outcome.value, call.outcome.weights, call.rows)
