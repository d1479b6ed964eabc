"""Theoretical kappa: the formulas by hand, and no rows that break them."""

import math
from itertools import combinations

import oracle
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gradskew import aggregators
from gradskew.core.round import Layer, Round

BY_HAND = [
    ("mean", 25, 4, math.inf),
    ("mean", 25, 0, 0),
    ("median", 50, 10, 24 / 16),  # k = 24: 24 / (50 - 10 - 24)
    ("median", 51, 10, 25 / 16),
    ("median(middle=lower)", 50, 10, 50 / 30),
    ("median(middle=upper)", 51, 10, 25 / 16),
    ("median", 50, 0, 24 / 26),
    ("rbtm", 50, 10, 1 / 3),  # 10 / (50 - 20)
    ("rbtm", 50, 0, 0),
    ("rbtm(share=0.3)", 50, 10, 15 / 25),  # k = 15
    ("rbtm(share=0.1)", 50, 10, math.inf),
    ("rbtm(tails=clamp)", 50, 10, None),
    ("meamed", 50, 10, (1 + 0.5 * math.sqrt(1.5)) ** 2),  # f / h = 1/4: 2 sqrt(1/4) + 2 (1/4) sqrt(3/2)
    ("meamed(centre=trimmed)", 50, 10, (1 + 0.5 * math.sqrt(1 / 3)) ** 2),
    ("aksel(select=n-f)", 50, 10, (1 + 0.5 * math.sqrt(1.5)) ** 2),
    ("aksel", 50, 10, (math.sqrt(1.5) + math.sqrt(40 / 25 * 2.5)) ** 2),
    ("mda", 50, 10, (10 * math.sqrt(2 / 40) + math.sqrt(1 / 3)) ** 2),
    ("smea", 50, 10, 4 / 3),
    ("smea(search=greedy)", 50, 10, None),
    ("bulyan", 50, 10, (math.sqrt(35 / 5) + 40 / math.sqrt(50)) ** 2),  # beta = 10, theta = 30, m = 15 - 10 = 5
    ("bulyan", 50, 0, 0),
    ("arc+rbtm", 50, 10, 1),  # 1/3 + 20/30
    ("arc+fltrust", 50, 10, math.inf),
    ("arc+fltrust", 4, 2, math.inf),
    ("arc+foolsgold", 2, 1, math.inf),
    ("clipping+rbtm", 50, 0, math.inf),
    ("clipping(c=median)+rbtm", 50, 10, (math.sqrt(1 / 3) + math.sqrt(40)) ** 2),
    ("clipping(c=median)+mean", 50, 10, math.inf),
    ("clipping(c=median)+foolsgold", 4, 2, math.inf),
    ("clipping(c=mean)+rbtm", 50, 10, math.inf),
    ("clipping(c=mean)+rbtm", 50, 0, 50),
    ("cge", 50, 10, math.inf),
    ("caf", 50, 10, None),
    ("multikrum", 25, 4, 121 / 84),  # q = 16: 4/21 (1 + (5 + 2) / 4)^2
    ("multikrum(neighbours=n-f-1)", 9, 4, 4 / 5 * 36),  # q = 1: 4/5 (1 + (3 + 2) / 1)^2 = 28.8, below 5.83 * 5 = 29.1
    ("multikrum(neighbours=n-f-1)", 101, 50, 51 * (3 + 2 * math.sqrt(2))),  # q = 1: 297, below 322
    ("multikrum", 25, 0, 0),
    ("multikrum(m=1)", 25, 4, 21 / 16 * (3 + 2 * math.sqrt(2))),
    ("multikrum(m=22)", 25, 4, math.inf),
    ("multikrum(m=1)", 25, 0, 25 / 24 * (3 + 2 * math.sqrt(2))),
    ("nnm+rbtm", 50, 10, 8 / 3),  # 8 * 10/40 (1/3 + 1)
    ("nnm+mean", 50, 10, math.inf),
    ("nnm+nnm+median", 50, 0, 0),
    ("nnm(itself=False)+rbtm", 50, 10, None),
    ("bucketing+rbtm", 50, 10, None),
    ("rfa", 50, 10, None),
    ("nnm+rfa", 50, 10, None),
    ("dnc", 50, 10, None),
    ("consensus", 50, 10, math.inf),
    ("consensus", 50, 0, None),
    ("ptm", 50, 10, math.inf),
    ("ptm", 50, 1, None),
    ("ptm", 50, 0, 0),
    ("average(a=median,b=rbtm)", 50, 10, (math.sqrt(1.5) + math.sqrt(1 / 3)) ** 2 / 4),
    ("average(a=median,b=mean)", 50, 10, math.inf),
    ("average(a=mean,b=cge)", 50, 10, None),  # both infinite: their errors may cancel
    ("average(a=median,b=dnc)", 50, 10, None),
    *((name, 50, 0, None) for name in ("signguard", "flame", "lasa", "clippedclustering", "alignins")),
    *((name, 50, 10, math.inf) for name in ("signguard", "flame", "lasa", "clippedclustering", "alignins")),
    ("fltrust", 50, 10, math.inf),
    ("fltrust", 50, 0, math.inf),
    ("nnm+fltrust", 50, 0, math.inf),
]


@pytest.mark.parametrize(("name", "n", "f", "wanted"), BY_HAND)
def test_the_bound_is_what_the_formula_gives(name: str, n: int, f: int, wanted: float | None) -> None:
    bound = aggregators.make(name).kappa_bound(n, f)
    assert bound == (None if wanted is None else pytest.approx(wanted, rel=1e-12))


BOUNDED = [
    "median",
    "median(middle=lower)",
    "median(middle=upper)",
    "rbtm",
    "rbtm(share=0.4)",
    "meamed",
    "meamed(centre=trimmed)",
    "aksel",
    "aksel(select=n-f)",
    "mda",
    "mda(ties=spread)",
    "average(a=median,b=rbtm)",
    "average(a=smea,b=nnm+meamed)",
    "smea",
    "bulyan",
    "bulyan(select=once)",
    "arc+rbtm",
    "clipping(c=median)+rbtm",
    "clipping(c=median)+multikrum",
    "multikrum",
    "multikrum(neighbours=n-f-1)",
    "multikrum(m=1)",
    "multikrum(m=2)",
    "nnm+median",
    "nnm+rbtm",
    "nnm+multikrum",
    "nnm+multikrum(m=1)",
]
ENTRIES = st.one_of(st.integers(-4, 4), st.floats(-10, 10, width=32))


@pytest.mark.parametrize("name", BOUNDED)
@given(
    columns=st.integers(1, 3).flatmap(
        lambda d: st.lists(st.tuples(*[ENTRIES] * d), min_size=5, max_size=8),
    ),
    f=st.integers(0, 3),
)
@example(columns=[(0,), (2,), (2,), (0,), (2,)], f=2)
def test_no_honest_rows_break_the_bound(name: str, columns: list[tuple[float, ...]], f: int) -> None:
    """Whichever n - f rows are the honest ones: Definition 1 asks for all of them."""
    rule, rows, n = aggregators.make(name), torch.tensor(columns, dtype=torch.float64), len(columns)
    f = min(f, rule.max_f(n))
    bound = rule.kappa_bound(n, f)
    assert bound is not None
    aggregate = rule(rows, f).numpy()
    for honest in combinations(range(n), n - f):
        found = oracle.kappa(rows[list(honest)].numpy(), aggregate)
        if found is not None:  # None: equal rows were missed by rounding
            assert found <= bound * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("name", BOUNDED)
def test_no_bound_is_below_what_is_possible(name: str) -> None:
    rule = aggregators.make(name)
    for n in range(1, 30):
        for f in range(rule.max_f(n) + 1):
            bound = rule.kappa_bound(n, f)
            assert bound is not None
            assert bound >= aggregators.least_kappa(n, f)


ALIKE = [(2, 1)] * 8 + [(1, 0.5)] * 2  # shorter rows in the direction of equal ones
ORDERED, MIXED = (-1, -2, 1, 2, 3, 4), (-2, -1, 4, 3, 2, 1)  # of one length, with as many signs of each kind
SAME = torch.ones(3, 3)  # what three clients lose at three models: the present one stays
MISSED = [  # f, rows of which the first n - f are equal, which no rule with a kappa may miss, and what the server knows
    ("mean", 1, [(0,), (0,), (1,)], {}),
    ("multikrum(m=6)", 2, [(0,)] * 5 + [(1,)] * 2, {}),
    ("rbtm(share=0.1)", 2, [(0,)] * 8 + [(1,)] * 2, {}),
    ("cge", 1, [(2,)] * 3 + [(1,)], {}),
    ("monna", 1, [(0,)] * 3 + [(1,)], {}),
    ("clipping(c=mean)+rbtm", 1, [(1, 0)] * 3 + [(0, 0)], {}),
    ("clipping+rbtm", 0, [(1e6,)] * 3, {}),
    ("consensus", 1, [(1, 0), (1, 0), (1, 0), (0, 1)], {}),  # drops one of the three, and turns towards the other
    ("consensus", 3, [(1, 0)] * 7 + [(0, 1)] * 3, {}),
    ("ptm", 2, [(1, 0), (1, 0), (1, 0), (0, 0), (0.5, 0.5)], {}),  # two rows in two directions
    ("rlr", 2, [(1,)] * 3 + [(-1,)] * 2, {}),
    ("fedseca", 0, [(1, 0.1)] * 3, {}),
    ("foolsgold", 1, [(1, 0)] * 3 + [(0, 1)], {"clients": range(4)}),
    ("vote", 0, [(1, 0)] * 3, {"clients": range(3), "params": torch.zeros(2), "losses": lambda models, _: SAME}),
    ("fltrust", 0, [(1, 0)] * 3, {"reference": torch.ones(2)}),
    ("signguard", 2, ALIKE, {}),
    ("clippedclustering", 2, ALIKE, {}),
    ("alignins", 2, ALIKE, {"params": torch.tensor([4.0, 0.0])}),
    ("flame(of=updates,noise=0)", 2, ALIKE, {}),
    ("flame(noise=0)", 2, [(2, 0)] * 8 + [(1, 0)] * 2, {"params": torch.tensor([4.0, 0.0])}),  # models (2, 0), (3, 0)
    ("lasa", 2, [ORDERED] * 8 + [MIXED] * 2, {"layers": {"weight": Layer(slice(0, 6), (2, 3))}}),
]


@pytest.mark.parametrize(("name", "f", "rows", "known"), MISSED)
def test_equal_honest_rows_are_missed_by_a_rule_without_a_bound(
    name: str, f: int, rows: list[tuple[float, ...]], known: dict[str, object]
) -> None:
    rule, matrix = aggregators.make(name), torch.tensor(rows, dtype=torch.float64)
    assert rule.kappa_bound(len(rows), f) == math.inf
    assert float((rule(matrix, f, round=Round(**known)) - matrix[0]).norm()) > 0.05


def test_every_rule_that_is_said_to_have_no_bound_has_such_rows() -> None:
    unbounded = {name for name in aggregators.RULES if aggregators.make(name).kappa_bound(50, 10) == math.inf}
    assert unbounded <= {name.partition("(")[0] for name, *_ in MISSED}


@pytest.mark.parametrize(("name", "bound"), [("rlr", 0), ("rlr(theta=1)", math.inf), ("monna", 0), ("cge", 0)])
def test_the_bound_without_byzantine_rows(name: str, bound: float) -> None:
    assert aggregators.make(name).kappa_bound(50, 0) == bound


def test_the_least_kappa_is_reached() -> None:
    """If 0 and 2 of the rows 0, 2, 2 are honest, the median, 2, misses their mean by 1, which is their spread."""
    rows = torch.tensor([[0.0], [2.0], [2.0]])
    assert oracle.kappa(rows[:2].numpy(), aggregators.make("median")(rows, 1).numpy()) == 1
    assert aggregators.least_kappa(3, 1) == 1
    assert aggregators.least_kappa(4, 2) == math.inf
