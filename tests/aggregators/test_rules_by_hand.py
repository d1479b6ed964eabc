"""Rules of the field on rows that can be followed by hand, and their edges."""

import math
import warnings
from fractions import Fraction

import numpy as np
import oracle_rules
import pytest
import torch
from cases import known, make_rows, rows_of
from scipy.cluster.hierarchy import cut_tree, linkage
from sklearn.cluster import HDBSCAN, MeanShift
from tiny import same

from gradskew import InputError
from gradskew import aggregators as agg
from gradskew.aggregators import NNM, SMEA, FoolsGold, Mixed, clippedclustering, flame, largest, signguard
from gradskew.core.round import Layer, Round
from gradskew.core.rows import Rows

SQUARE = rows_of((3, 4), (0, 1), (0, 0), (6, 8))  # norms 5, 1, 0, 10
FAN = rows_of((1, 0), (2, 0.2), (1, 0.1), (0, 5))
KITE = rows_of((0, 0), (2, 0), (1, 1.2), (1, -1.2), (50, 50))
FIVE = rows_of((3, 4), (1, 1), (2, 1), (1, 4), (4, 2))
SIGNS = rows_of((1, 2, 3, -4), (2, 1, 2, -1), (1, -1, 4, -2), (-8, -8, -8, 8))
PAIRS = rows_of((3, 4), (3, 4), (1, 0), (0, 1))
VOTES = rows_of((1, -1, 2), (2, -1, 1), (3, 1, -1), (1, -5, 0))

BY_HAND = [
    # the nearest n - f entries to the median: of 0, 1, 2, 4 around 2, the mean 1.75
    ("meamed", rows_of(0, 1, 2, 4, 100), 1, 1.75),
    # 0 and 2 are as near to 1: half of each, (1 + (0 + 2) / 2) / 2
    ("meamed", rows_of(0, 1, 2), 1, 1),
    ("meamed", rows_of(0, 1, 4, 5, 7), 1, 4.25),
    ("meamed(centre=trimmed)", rows_of(0, 1, 4, 5, 7), 1, 2.5),  # around (1 + 4 + 5) / 3
    ("cge", rows_of((3, 0), (0, 1), (-2, 0), (0, -10)), 1, (1 / 3, 1 / 3)),
    ("mda", KITE, 2, (1, 0.4)),  # {0, 1, 2} and {0, 1, 3} have the diameter 2
    ("mda", KITE.flip(0), 2, (1, -0.4)),
    ("mda(ties=spread)", KITE, 2, (1, 0.4)),
    ("mda", FIVE, 2, (2, 3)),
    ("mda", rows_of(7, 9), 0, 8),
    ("monna(pivot=1)", rows_of(0, 1, 3, 10), 1, 4 / 3),
    ("monna", rows_of(0, 1, 3, 10), 1, 14 / 3),  # the last row is trusted
    ("caf", rows_of(0, 1, 2, 9), 1, 51 / 47),  # mu = 3, then c = (3/4, 8/9, 35/36, 0)
    ("caf", rows_of(0, 1, 2, 9), 0, 3),
    ("smea", FIVE, 2, (3, 7 / 3)),  # rows 0, 2, 4: the largest eigenvalue is 5/3
    ("smea", rows_of(0, 1, 2, 9), 1, 1),
    ("bulyan", rows_of(0, 1, 2, 3, 4, 5, 100), 1, 2),
    ("bulyan", rows_of(0, 1, 3, 6.5, 7, 8, 100), 1, 4 / 3),  # 0, 1, 3, 6.5, 7 are taken
    ("bulyan(select=once)", rows_of(0, 1, 3, 6.5, 7, 8, 100), 1, 43 / 6),  # 1, 3, 6.5, 7, 8
    ("flame(of=updates,noise=0)", FAN, 1, (1.166667, 0.083333)),  # rows 0, 1, 2, cut to the length 1.507481
    ("clippedclustering", FAN, 1, (1.166667, 0.083333)),
    ("gas(base=median)", rows_of((0, 0), (1, 0), (0, 1), (0, 9)), 1, (1 / 3, 1 / 3)),  # scores 0.5, 1.5, 0.5, 8.5
    ("rlr(theta=3)", VOTES, 1, (1.75, 1.5, -0.5)),  # sums of signs 4, -2, 1
    ("rlr(vote=True)", VOTES, 1, (19 / 12, -19 / 12, 19 / 12)),
    ("rlr(vote=True,scale=2)", VOTES, 1, (2, -2, 2)),
    ("rlr", VOTES, 0, (1.75, -1.5, 0.5)),
    ("fedseca(gamma=0.5)", SIGNS, 1, (1.5, 0, 2.442145, -2.135478)),  # rho = 0.5, 0.5, 0.5, 0
    ("keep(rule=multikrum)+median", rows_of(0, 1, 2, 3, 100), 1, 1.5),
    ("foundation(m=2)+rbtm", rows_of(0, 1, 2, 10), 1, 1.75),  # 0, 1, 2, 10, 2, 2 without 0 and 10
    ("rbtm(share=0.4)", rows_of(0, 1, 2, 5, 100), 0, 2),  # two of five at each end
    ("rbtm(tails=clamp)", rows_of(0, 1, 2, 6, 100), 1, 3.2),  # 1, 1, 2, 6, 6
    ("bucketing(s=2,shuffle=False)+median", rows_of(0, 2, 10, 20, 3), 0, 3),  # means 1, 15, 3
    ("cclip(start=mean,tau=1)", rows_of(0, 0, 6), 1, 5 / 3),  # around 2: -1, -1, 1
    ("cclip(start=median,tau=1)", rows_of(0, 0, 6), 1, 1 / 3),  # around 0: 0, 0, 1
    # one by one of 0, 1, 3, 7, 20, f = 1, the row itself among the n' - 3 nearest: 0 (score 1), then 3 of 1, 3, 7, 20
    ("multikrum(select=one-by-one)", rows_of(0, 1, 3, 7, 20), 1, 0),
]


@pytest.mark.parametrize(("name", "rows", "f", "wanted"), BY_HAND, ids=lambda value: str(value)[:40])
def test_by_hand(name, rows, f, wanted):
    wanted = torch.tensor(wanted, dtype=torch.float32).reshape(-1)
    torch.testing.assert_close(agg.make(name)(rows, f), wanted, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("mixing", "f", "wanted"),
    [
        ("clipping", 1, [(1.2, 1.6), (0, 1), (0, 0), (1.2, 1.6)]),
        ("clipping(c=median)", 1, [(1.8, 2.4), (0, 1), (0, 0), (1.8, 2.4)]),  # 3
        ("clipping(c=mean)", 1, [(2.4, 3.2), (0, 1), (0, 0), (2.4, 3.2)]),  # 4
        ("arc", 1, [(3, 4), (0, 1), (0, 0), (3, 4)]),  # k = 1: to 5
        ("arc", 0, [(3, 4), (0, 1), (0, 0), (6, 8)]),
    ],
)
def test_clipped_rows(mixing, f, wanted):
    rows = Rows(SQUARE)
    matrix = agg.make(f"{mixing}+mean").mixing.matrix(rows, f, torch.Generator())
    same(matrix @ SQUARE.double(), torch.tensor(wanted, dtype=torch.float64))


def test_arc_clips_two_of_six_rows():
    """n = 6, f = 2: k = 2 * 2 * 4 // 6 = 2: 1, ..., 6 become 1, 2, 3, 4, 4, 4, whose mean is 3."""
    assert agg.make("arc+mean")(rows_of(1, 2, 3, 4, 5, 6), 2).item() == 3


def test_flame_on_models_and_its_noise():
    """The same cluster by the models w - g, w = (10, 0). The noise has the scale of the median norm, 1.507481."""
    round = Round(params=torch.tensor([10.0, 0.0]))
    same(agg.make("flame(noise=0)")(FAN, 1, round=round), torch.tensor([1.166667, 0.083333]), 1e-6)
    wide = torch.cat([FAN, torch.zeros(4, 4000)], 1)
    one, other = (
        agg.make("flame(of=updates,noise=0.1)")(wide, 1, generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    assert one[2:].std().item() == pytest.approx(0.1507481, rel=0.05)
    assert not torch.equal(one, other)
    plain = agg.make("flame(of=updates,noise=0)")
    same(plain(rows_of((1, 2)), 0), torch.tensor([1.0, 2.0]))
    same(plain(rows_of((1, 0), (3, 0)), 0), torch.tensor([1.5, 0.0]))  # both, 3 cut to the median norm 2


def test_signguard():
    """S1: all but 20 a, which is too long. S2: all but e, whose signs are the other way."""
    a, b = [1.0] * 7 + [-1.0] * 3, [2.0] * 6 + [-2.0] * 4
    c, e = [1.0] * 6 + [-1.0] * 4, [-1.0] * 8 + [1.0] * 2
    outcome = agg.make("signguard(share=1)").explain(rows_of(a, b, c, e, [20 * x for x in a]), 1)
    same(outcome.value, torch.tensor([1.0] * 6 + [-1 / 3] + [-1.0] * 3))
    assert outcome.notes == {"usual norm": 4, "alike": 4}
    assert agg.make("signguard")(torch.ones(4, 5), 1).tolist() == [1.0] * 5  # equal rows are one cluster
    assert agg.make("signguard")(torch.zeros(4, 5), 1).tolist() == [0.0] * 5


@pytest.mark.parametrize("seed", range(30))
def test_mean_shift_forms_the_clusters_of_scikit_learn(seed):
    """On shares of 2,410 columns, where no distance equals the bandwidth: one to three crowds of 4 to 60 rows."""
    rng = np.random.default_rng(seed)
    crowds = rng.dirichlet([3, 0.2, 3], size=1 + seed % 3)
    shares = np.stack([rng.multinomial(2410, crowds[i % len(crowds)]) for i in range(4 + 2 * seed)]) / 2410
    scaled = shares / shares.max(0).clip(min=1e-300)
    distances = np.linalg.norm(scaled[:, None] - scaled, axis=2)
    bandwidth = np.sort(distances)[:, len(shares) // 2 - 1].mean()
    with warnings.catch_warnings(action="ignore"):
        wanted = MeanShift(bandwidth=bandwidth, bin_seeding=True, cluster_all=False).fit(scaled).labels_
    found = signguard._meanshift(shares)
    assert np.array_equal(found < 0, wanted < 0)
    assert np.array_equal(found[:, None] == found, wanted[:, None] == wanted)


@pytest.mark.parametrize("seed", [0, 3, 8, 45, 70, 278])  # where starts along one, two or four directions miss it
def test_the_two_clusters_of_kmeans_have_the_least_sum_of_squares_of_all_splits(seed):
    """9 to 11 rows."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([2, 2, 2], size=9 + seed % 3)
    splits = (np.arange(1, 2 ** (len(shares) - 1))[:, None] >> np.arange(len(shares))) % 2

    def squares(labels):
        return sum(((part - part.mean(0)) ** 2).sum() for part in (shares[labels == 0], shares[labels == 1]))

    found, wanted = signguard._kmeans(shares), min(splits, key=squares)
    assert np.array_equal(found[:, None] == found, wanted[:, None] == wanted)


def test_kmeans_of_equal_rows_is_one_cluster_and_of_two_rows_two():
    """Of two equal rows and another one: the equal ones together."""
    assert sorted(signguard._kmeans(np.array([[1.0, 0, 0], [0, 0, 1.0]]))) == [0, 1]
    assert signguard._kmeans(np.full((4, 3), 1 / 3)).tolist() == [0, 0, 0, 0]
    one, two, other = signguard._kmeans(np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])).tolist()
    assert one == two != other


def test_a_distance_equal_to_the_bandwidth_of_mean_shift_is_within_it():
    """0, 1/3, 2/3, 1, all a third apart: the modes 2/3 (of three points) and 1/6; 1 is a third from the first."""
    shares = np.zeros((4, 3))
    shares[:, 0] = np.arange(4) / 4
    first, second, third, fourth = signguard._meanshift(shares).tolist()
    assert first == second != third == fourth
    assert min(first, third) >= 0


@pytest.mark.parametrize("kind", ["average", "single"])
def test_the_two_clusters_are_those_of_the_last_merge(kind):
    """Beside SciPy's cut of the tree, on points with and without ties."""
    rng = np.random.default_rng(0)
    for n in [2, 3, *range(4, 40)]:
        for points in (rng.normal(size=(n, 2)), rng.integers(-1, 2, size=(n, 2))):
            merges = linkage(points, kind)
            wanted, found = cut_tree(merges, 2).ravel(), clippedclustering._first_cluster(merges).numpy()
            assert np.array_equal(found == found[0], wanted == wanted[0])


def test_foolsgold_and_its_scales():
    """u = 0, 0, 1, 0.751314."""
    round = Round(clients=range(4))
    u = 0.751314
    for scale, total in (("weights", 1 + u), ("n", 4), ("sum", 1)):
        value = FoolsGold(scale=scale)(PAIRS, 1, round=round)
        same(value, torch.tensor([1 / total, u / total]), 1e-5)
    nobody = FoolsGold().explain(rows_of((1, 1), (2, 2), (0.3, 0.3)), 0, round=Round(clients=range(3)))
    assert nobody.value.tolist() == [0, 0]
    assert nobody.notes == {"trusted": 0}


def test_foolsgold_remembers_by_client():
    """In round 2 clients 5 and 6 point to different sides, but their sums are still alike."""
    rule = FoolsGold()
    first = Rows(rows_of((9, 9), (9, 9)), round=Round(clients=[5, 6]))
    rule.observe(torch.zeros(2), rows=first)
    rows, round = rows_of((1, 0), (0, 1), (0, 1)), Round(clients=[6, 5, 1])
    cosines = Rows(rows_of((10, 9), (9, 10), (0, 1))).cosines
    alone = FoolsGold(memory=False)(rows, 0)
    assert not torch.equal(rule(rows, 0, round=round), alone)
    torch.testing.assert_close(rule._cosines(Rows(rows, round=round)), cosines)
    other = FoolsGold()
    assert other.is_valid_state(rule.state_dict(), 2)
    other.load_state_dict(rule.state_dict())
    assert torch.equal(other(rows, 0, round=round), rule(rows, 0, round=round))
    assert not other.is_valid_state({"clients": torch.tensor([1])}, 2)
    assert not other.is_valid_state(rule.state_dict(), 1)


def test_foolsgold_remembers_no_more_than_the_largest_number():
    """Client 0 sends the largest float32 again and again: its sum is cut there, and the others' weights stay."""
    rule, most = FoolsGold(), torch.finfo(torch.float32).max
    rows = Rows(rows_of((most, 0), (0, 1), (1, -1)), round=Round(clients=[0, 1, 2]))
    for _ in range(3):
        assert rule(rows, 1).isfinite().all()
        rule.observe(torch.zeros(2), rows=rows)
    state = rule.state_dict()
    assert state["sums"][0].tolist() == [most, 0]
    assert rule.is_valid_state(state, 2)
    wide = Rows(torch.tensor([[1e39, 0], [0, 1], [1, -1]], dtype=torch.float64), round=rows.round)
    rule.observe(torch.zeros(2), rows=wide)
    assert rule.state_dict()["sums"].isfinite().all()
    assert rule(wide, 1).isfinite().all()


def test_foolsgold_behind_clipping_remembers_the_clipped_rows():
    pipeline = agg.make("clipping(c=1)+foolsgold")
    rows = Rows(rows_of((3, 4), (0, 2)), round=Round(clients=[0, 1]))
    pipeline.explain(rows, 0)
    pipeline.observe(torch.zeros(2), rows=rows)
    same(pipeline.state_dict()["sums"], torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


def test_clippedclustering_remembers_the_norms():
    """Norms 1, 1 of a past round make the median of all six 1: rows 0, 1, 2 are cut to it."""
    rule = agg.make("clippedclustering")
    rule.observe(torch.zeros(2), rows=Rows(rows_of((1, 0), (0, 1))))
    norms = [1, 1, 1, math.hypot(2, 0.2), math.hypot(1, 0.1), 5]
    radius = sum(sorted(norms)[2:4]) / 2
    rows = [(1, 0), (2 * radius / norms[3], 0.2 * radius / norms[3]), (radius / norms[4], 0.1 * radius / norms[4])]
    same(rule(FAN, 1), torch.tensor(rows).mean(0), 1e-6)
    assert rule.is_valid_state(rule.state_dict(), 2)
    assert not rule.is_valid_state({"norms": torch.tensor([-1.0])}, 2)


def test_lasa():
    """Norms sqrt 7 three times, and 6. Layer 1 keeps rows 0 and 1, layer 2 rows 0, 1 and 3."""
    rows = rows_of((2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (-3, -3, 3, 3))
    layers = {"a": Layer(slice(0, 2), (2,)), "b": Layer(slice(2, 4), (2,))}
    value = agg.make("lasa(sparsity=0)")(rows, 1, round=Round(layers=layers))
    same(value, torch.tensor([1.5, 1.5, 1.107625, 1.107625]), 1e-6)
    with pytest.raises(InputError, match="the layers end before column 5"):
        agg.make("lasa")(torch.ones(3, 5), 0, round=Round(layers=layers))
    with pytest.raises(InputError, match="must follow each other"):
        agg.make("lasa")(torch.ones(3, 4), 0, round=Round(layers={"b": Layer(slice(2, 4), (2,))}))


def test_alignins():
    """w = (1, 1, 1, 1), s = 0.5: rows 0 and 2 are kept."""
    round = Round(params=torch.ones(4))
    value = agg.make("alignins(sparsity=0.5)")(SIGNS, 1, round=round)
    same(value, torch.tensor([0.964087, 0.428174, 3.392262, -2.856349]), 1e-6)
    nobody = agg.make("alignins(lambda_s=0)").explain(SIGNS, 1, round=round)
    assert nobody.value.tolist() == [0] * 4
    with pytest.raises(InputError, match=r"the model must have the shape \(4,\), not \(3,\)"):
        agg.make("alignins")(SIGNS, 1, round=Round(params=torch.ones(3)))


def test_the_mean_by_examples():
    rows = rows_of(0, 1, 4)
    outcome = agg.make("mean(weights=examples)").explain(rows, 0, round=Round(examples=torch.tensor([2, 1, 1])))
    assert outcome.value.item() == 1.25
    assert outcome.weights.tolist() == [0.5, 0.25, 0.25]
    claimed = Round(examples=torch.tensor([98, 1, 1]))  # 0.98 is cut to 1.5/3: 0.5, 0.01 and 0.01 over 0.52
    capped = agg.make("mean(weights=examples,cap=1.5)").explain(rows, 0, round=claimed)
    assert capped.weights.tolist() == pytest.approx([50 / 52, 1 / 52, 1 / 52])
    assert capped.value.item() == pytest.approx(5 / 52)
    with pytest.raises(InputError, match="cap must be above 0"):
        agg.make("mean(weights=examples,cap=0)")
    with pytest.raises(InputError, match="it needs weights=examples"):
        agg.make("mean(cap=2)")
    with pytest.raises(InputError, match="needs example counts"):
        agg.make("mean(weights=examples)")(rows, 0)
    with pytest.raises(InputError, match="one of them above 0"):
        agg.make("mean(weights=examples)")(rows, 0, round=Round(examples=torch.zeros(3)))
    with pytest.raises(InputError, match="needs examples, and bucketing mixes"):
        agg.make("bucketing+mean(weights=examples)")


def test_rfa_by_examples():
    """Shares 1/2, 1/4, 1/4 of 0, 1, 4: v = 1.25 at first; then 0.5/1.25, 0.25/0.25, 0.25/2.75, in all 1.490909."""
    rule = agg.make("rfa(shares=examples,steps=1)")
    assert rule.name == "rfa(steps=1,shares=examples)"
    outcome = rule.explain(rows_of(0, 1, 4), 0, round=Round(examples=torch.tensor([2, 1, 1])))
    assert outcome.weights.tolist() == pytest.approx([0.4 / 1.490909, 1 / 1.490909, 0.0909091 / 1.490909], rel=1e-6)
    assert outcome.value.item() == pytest.approx((1 + 4 * 0.0909091) / 1.490909, rel=1e-6)
    with pytest.raises(InputError, match="needs example counts"):
        rule(rows_of(0, 1, 4), 0)
    with pytest.raises(InputError, match="needs examples, and nnm mixes"):
        agg.make("nnm+rfa(shares=examples)")
    with pytest.raises(InputError, match="shares must be one of"):
        agg.make("rfa(shares=claims)")


def test_rfa_by_capped_examples():
    """Shares 1/2, 1/4, 1/4 of 0, 1, 4, at most 3/8, are 3/7, 2/7, 2/7: v = 10/7; then 3/10, 2/3, 1/9, in all 97/90."""
    rule = agg.make("rfa(shares=examples,cap=1.125,steps=1)")
    outcome = rule.explain(rows_of(0, 1, 4), 0, round=Round(examples=torch.tensor([2, 1, 1])))
    assert outcome.weights.tolist() == pytest.approx([27 / 97, 60 / 97, 10 / 97], rel=1e-6)
    with pytest.raises(InputError, match="cap is a bound on the shares of the examples: it needs shares=examples"):
        agg.make("rfa(cap=2)")


def test_rfa_stops_at_its_tolerance():
    rows = make_rows(11, 6, 0, "gauss", seed=3)
    outcome = agg.make("rfa(start=median,steps=256,tol=1e-6)").explain(rows, 2)
    assert 2 < outcome.notes["steps"] < 256
    same(outcome.value, agg.make("rfa(steps=2000)")(rows, 2), 1e-4)


def test_rows_that_are_kept_keep_their_clients():
    rows = Rows(rows_of(0, 1, 100, 2, 3), round=known(5, 1))
    mixing = agg.make("keep+median").mixing
    kept = rows.mix(mixing.matrix(rows, 1, torch.Generator()), keeps_rows=True)
    assert kept.round.clients == [0, 1, 3, 4]
    assert kept.round.examples.tolist() == [1, 2, 1, 2]
    outcome = Mixed(mixing=mixing, rule=FoolsGold()).explain(Rows(torch.eye(5), round=Round(clients=range(5))), 1)
    assert outcome.weights.shape == (5,)


def test_keep_wants_a_rule_that_selects():
    with pytest.raises(InputError, match="keep: rule must select rows"):
        agg.make("keep(rule=median)+median")


def test_keep_tells_the_rule_behind_no_more_than_it_tolerates():
    """krum keeps one row, of which the median tolerates none."""
    assert agg.make("keep(rule=krum)+median").explain(rows_of(0, 1, 2, 3, 100), 1).notes["f of median"] == 0


def test_an_exact_search_that_is_too_long_is_one_line():
    rows = make_rows(50, 100, 0, "gauss", seed=0)
    with pytest.raises(InputError, match=r"smea would search more than 200000 subsets.* use smea\(search=greedy\)"):
        agg.make("smea")(rows, 10)
    with pytest.raises(InputError, match="mda took 10 steps without an answer"):
        agg.make("mda(limit=10)")(rows, 10)
    assert SMEA(search="greedy").explain(rows, 10).notes == {"exact": False}


@pytest.mark.parametrize("seed", range(30))
def test_the_greedy_search_drops_and_then_swaps_as_the_oracle_does(seed):
    rows, f = make_rows(5 + seed % 5, 3, 0, "gauss", seed=seed), 1 + seed % 2
    kept = np.flatnonzero(agg.make("smea(search=greedy)").explain(rows, f).weights)
    assert len(kept) == len(rows) - f
    assert oracle_rules.top_variance(rows, kept) == pytest.approx(oracle_rules.greedy_top_variance(rows, f), rel=1e-9)


def test_signguard_takes_the_rows_of_usual_norm_where_none_is_in_the_largest_cluster():
    """Three equal rows of signs, 100 times as long as four that differ."""
    ones = [3, 3, 3, 9, 9, 4, 10]  # of ten entries 1, the others are -1
    rows = torch.tensor([[1.0] * count + [-1.0] * (10 - count) for count in ones])
    rows[:3] *= 100
    outcome = agg.make("signguard(share=1)").explain(rows, 1)
    assert outcome.notes == {"usual norm": 4, "alike": 3}
    assert outcome.weights.tolist() == pytest.approx([0, 0, 0, 0.25, 0.25, 0.25, 0.25])


def test_a_row_of_zeros_is_farther_than_any_angle_in_clippedclustering():
    """Two and two rows at 120 degrees, 1.5 apart: they join before the row of zeros does, at 2."""
    rows = rows_of((1, 0), (1, 0), (-0.5, 0.75**0.5), (-0.5, 0.75**0.5), (0, 0))
    assert agg.make("clippedclustering").explain(rows, 1).weights.tolist() == pytest.approx([0.25] * 4 + [0])


@pytest.mark.parametrize("seed", range(40))
def test_the_majority_of_flame_is_the_one_cluster_of_hdbscan(seed):
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((draw.integers(3, 20), 3)) + draw.integers(0, 3, 3)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distances = np.clip(1 - units @ units.T, 0, None)
    np.fill_diagonal(distances, 0)
    least = len(rows) // 2 + 1
    clusters = HDBSCAN(least, min_samples=1, allow_single_cluster=True, metric="precomputed", copy=True)
    assert np.array_equal(flame.majority(torch.from_numpy(distances)).numpy(), clusters.fit(distances).labels_ == 0)


def test_a_share_of_the_rows_is_a_decimal_number():
    """0.29 of 100 rows are 29, though 0.29 * 100 is 28.999999999999996; half of the rows at each end leave none."""
    rows = torch.arange(100.0)[:, None] ** 2
    assert agg.make("rbtm(share=0.29)")(rows, 0).item() == pytest.approx(float((torch.arange(29.0, 71) ** 2).mean()))
    with pytest.raises(InputError, match="share"):
        agg.make("rbtm(share=0.5)")


@pytest.mark.parametrize(
    "name", ["multikrum", "krum", "aksel", "cge", "mda", "smea", "monna", "gas", "dnc", "flame(noise=0)"]
)
def test_a_rule_that_selects_keeps_no_fewer_rows_than_it_says(name):
    rule = agg.make(name)
    for n in range(4, 10):
        for f in range(rule.max_f(n) + 1):
            for kind in ("gauss", "duplicates"):
                rows = Rows(make_rows(n, 5, f, kind, seed=n), round=known(n, 5))
                assert (rule.outcome(rows, f, torch.Generator()).weights > 0).sum() >= rule.least(n, f)


def test_the_least_diameter_of_fifty_rows():
    """Forty rows within 1 of each other, and ten that are at least 3 from all others: only the forty are left."""
    close = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
    close = 0.5 * close / close.norm(dim=1, keepdim=True)
    far = 5 * torch.eye(10, 30)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    weights = agg.make("mda").explain(torch.cat([close, far])[order], 10).weights
    assert set(order[weights > 0].tolist()) == set(range(40))


@pytest.mark.parametrize("mixings", ["clipping", "clipping+arc", "arc+clipping(c=median)+clipping"])
@pytest.mark.parametrize("name", ["foolsgold", "clippedclustering"])
def test_state_behind_any_number_of_mixings(mixings, name):
    pipeline = agg.make(f"{mixings}+{name}")
    rows = Rows(make_rows(6, 3, 0, "gauss", seed=0), round=known(6, 3))
    pipeline.observe(pipeline.explain(rows, 1).value, rows=rows)
    assert pipeline.state_dict()


def test_foolsgold_takes_the_ids_of_flower():
    """Flower draws unsigned numbers of 64 bits."""
    rule, ids = FoolsGold(), [2**63 + 1, 2**64 - 1, 3]
    rows = Rows(rows_of((1, 0), (0, 1), (1, 1)), round=Round(clients=ids))
    rule.observe(torch.zeros(2), rows=rows)
    assert rule.is_valid_state(rule.state_dict(), 2)
    same(rule._cosines(rows), Rows(rows_of((2, 0), (0, 2), (2, 2))).cosines)


def test_what_foolsgold_cannot_remember():
    good = {"clients": torch.tensor([1, 2]), "sums": torch.ones(2, 3)}
    assert FoolsGold().is_valid_state(good, 3)
    assert not FoolsGold().is_valid_state(good, 4)
    assert FoolsGold(features="output").is_valid_state(good, 4)
    assert not FoolsGold(memory=False).is_valid_state(good, 3)
    for wrong in (
        {"clients": torch.tensor([1, 1])},
        {"clients": torch.ones(2)},
        {"sums": torch.full((2, 3), math.nan)},
    ):
        assert not FoolsGold().is_valid_state({**good, **wrong}, 3)


@pytest.mark.parametrize(("a", "b", "c"), [(6, 7, 7), (5, 5, 5)])
def test_signguard_with_rows_of_equal_shares(a, b, c):
    rows = rows_of([1.0] * a + [-1.0] * (10 - a), [1.0] * b + [-1.0] * (10 - b), [2.0] * c + [-2.0] * (10 - c))
    assert agg.make("signguard(share=1)")(rows, 0).isfinite().all()


def test_what_a_rule_inside_another_needs_is_asked_for():
    for name in ("keep(rule=flame)+median", "keep(rule=monna(pivot=reference))+median"):
        with pytest.raises(InputError, match="needs the"):
            agg.make(name)(FAN, 1)
    with pytest.raises(InputError, match="gas: base must need nothing besides the rows"):
        agg.make("gas(base='keep(rule=flame)+median')")
    with pytest.raises(InputError, match="gas: base must not depend on earlier rounds: cclip does"):
        agg.make("gas(base=cclip)")
    assert agg.make("gas(base=cclip(start=mean))").base.start == "mean"


def test_a_tied_election_of_fedseca():
    """In the third column the votes for + and - are equal, so that all entries count: the mean of the clipped ones."""
    rows = rows_of((0, -1, 1, 3), (2, 0, 2, 3), (-1, -2, -1, 0), (3, -1, -3, 2), (1, 2, 1, 0), (1, 0, -2, 2))
    for order in (range(6), (5, 3, 1, 0, 2, 4)):
        assert agg.make("fedseca(gamma=0)")(rows[list(order)], 0)[2].item() == pytest.approx(-0.05229, abs=1e-5)


def test_rows_that_tie_up_to_rounding_go_by_their_index():
    """Behind ARC the k + 1 longest rows have one norm, and behind NNM many rows are equal."""
    for seed in range(40):
        rows = make_rows(10, 5, 0, "gauss", seed=seed)
        for name in ("arc+cge", "clipping(c=median)+cge", "nnm+mda"):
            one, other = agg.make(name).explain(rows, 2), agg.make(name).explain(3.7 * rows, 2)
            assert torch.equal(one.weights > 0, other.weights > 0), (name, seed)
    assert agg.make("smea")(rows_of(0, -1, -2, -1, -1), 1).item() == -0.75


@pytest.mark.parametrize("order", ["shifts", "reversed"])
def test_ties_in_real_numbers_go_to_the_lower_index(order):
    """Row i is a vector shifted by i places: the distance of two rows depends on their shifts, up to the sign.

    So each row has two others at each distance; all have the same norm, the same score, and the same distance from the
    median, whose entries are equal. How they differ by rounding depends on the order in which a processor adds.
    """
    for seed in range(30):
        vector = make_rows(7, 1, 0, "gauss", seed=seed)[:, 0]
        rows = torch.stack([vector.roll(shift) for shift in range(7)])
        rows = rows if order == "shifts" else rows.flip(0)
        assert agg.make("aksel").explain(rows, 3).notes["kept"] == 7, seed
        assert agg.make("cge").explain(rows, 3).weights.nonzero().flatten().tolist() == [0, 1, 2, 3], seed
        assert agg.make("multikrum").explain(rows, 2).weights.nonzero().flatten().tolist() == [0, 1, 2, 3, 4], seed
        numbers = [[Fraction(x) for x in row] for row in rows.tolist()]
        for f in (1, 3):
            mixing = NNM().matrix(Rows(rows), f, torch.Generator())
            for row, weights in zip(numbers, mixing, strict=True):
                exact = [sum((x - y) ** 2 for x, y in zip(row, other, strict=True)) for other in numbers]
                nearest = sorted(range(7), key=lambda j: (exact[j], j))[: 7 - f]
                assert weights.nonzero().flatten().tolist() == sorted(nearest), (seed, f)


def test_deviations_of_exactly_one_are_not_below_one():
    """Of two rows each deviates by one standard deviation."""
    for seed in range(20):
        rows, round = make_rows(2, 9, 0, "gauss", seed=seed), known(2, 9)
        assert agg.make("alignins").explain(rows, 0, round=round).notes == {"kept": 0}
        assert agg.make("lasa").explain(rows, 0, round=round).notes == {"kept": 2}


def test_searches_end_where_the_answer_is_plain():
    assert agg.make("mda(ties=spread)")(torch.ones(50, 4), 10).tolist() == [1] * 4
    assert agg.make("smea").explain(torch.eye(20), 7).notes == {"exact": True}  # 77,520 subsets


@pytest.mark.parametrize(
    ("round", "message"),
    [
        (Round(clients=[0, 1]), "the client ids must be 4 different whole numbers"),
        (Round(clients=[0, 0, 1, 2]), "the client ids must be 4 different whole numbers"),
        (Round(clients=["a", "b", "c", "d"]), "the client ids must be 4 different whole numbers"),
    ],
)
def test_client_ids_that_cannot_be(round, message):
    with pytest.raises(InputError, match=message):
        agg.make("foolsgold")(FAN, 1, round=round)


def test_what_a_server_knows_is_finite_and_of_the_right_length():
    for name, part in (("fltrust", "reference"), ("flame", "params"), ("alignins", "params")):
        for wrong, message in (
            (torch.tensor([math.nan, 1.0]), "must be finite"),
            (torch.ones(3), "must have the shape"),
        ):
            with pytest.raises(InputError, match=message):
                agg.make(name)(FAN, 1, round=Round(**{part: wrong}))
    reference = torch.ones(2, requires_grad=True)
    assert not agg.make("fltrust")(FAN, 1, round=Round(reference=reference)).requires_grad
    with pytest.raises(InputError, match="the layers must be"):
        agg.make("lasa")(FAN, 1, round=Round(layers={"w": slice(0, 2)}))


def test_the_f_of_a_kept_rule_follows_the_rows_that_are_kept():
    """Aksel keeps all nine equal rows, of which the trimmed mean tolerates four."""
    rows = torch.cat([torch.zeros(9, 2), torch.ones(1, 2)])
    assert agg.make("keep(rule=aksel)+rbtm").explain(rows, 4).notes["f of rbtm"] == 4
    assert agg.make("keep+median").max_f(5) == 1  # that of multikrum
    assert agg.make("clipping+foolsgold").max_f(5) == 4  # clipping needs no majority


def test_a_preset_reaches_the_default_of_an_option():
    assert agg.make("gas", preset="byzfl").base.neighbours == "n-f-1"
    assert agg.make("keep+median", preset="byzfl").mixing.rule.neighbours == "n-f-1"


@pytest.mark.parametrize("size", [8, 100, 4 << 20])
def test_the_largest_entries_block_by_block(monkeypatch, size):
    """Whatever a block holds: the first entries of a stable sort by falling size, within the columns."""
    monkeypatch.setattr(largest, "BLOCK_BYTES", size)
    rows = torch.randint(-3, 4, (5, 12), generator=torch.Generator().manual_seed(1)).float()
    columns = (slice(0, 4), slice(5, 12))
    inside = [i for i in range(12) if i != 4]
    for count in (0, 1, 5, 11):
        wanted = torch.zeros(5, 12, dtype=torch.bool)
        for row, target in zip(rows.tolist(), wanted, strict=True):
            target[sorted(inside, key=lambda i: -abs(row[i]))[:count]] = True
        assert torch.equal(largest.largest_entries(rows, count, columns), wanted)
