"""The strength searched against the rule: by hand, the searches alone, and against other strengths."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from cases import context_of, make_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st

from gradskew import InputError, aggregators
from gradskew import attacks as att
from gradskew.aggregators import Aggregator, Outcome
from gradskew.aggregators.informed import Informed
from gradskew.attacks import View
from gradskew.attacks.answers import Answer
from gradskew.attacks.strength import grid_search, line_search
from gradskew.attacks.trials import Trials, turned
from gradskew.core.round import Round
from gradskew.core.rows import Rows


def forge(name, honest, f, rule="median", n=None):
    rule = aggregators.make(rule) if isinstance(rule, str) else rule
    context = context_of(rule, len(honest), f, n, honest.shape[1])
    return att.make(name).explain(honest, torch.zeros(f, honest.shape[1], dtype=honest.dtype), n=n, context=context)


def trials_of(honest, f, rule, n=None, own=False):
    return Trials(view_of(honest, f, rule, n, own))


def view_of(honest, f, rule, n=None, own=False):
    honest = Rows(honest)
    others = honest if own else Rows(torch.zeros(f, honest.d, dtype=honest.updates.dtype))
    n = honest.n + f if n is None else n
    context = context_of(aggregators.make(rule), honest.n, f, n)
    return View(honest, others, n, torch.Generator(), context)


def std(honest):
    return honest.double().std(0, unbiased=False)


# Trials, by hand.


@pytest.mark.parametrize(
    ("honest", "f", "rule", "distances"),
    [
        ((0, 0, 9), 1, "median", {0: 1.5, 0.5**0.5: 0, 2: 1.5}),  # mean 3, std sqrt(18); the midpoint of four entries
        ((0, 0, 0, 1, 9), 2, "rbtm", {0: 1.0, 0.2: 0.77, 1: 0.17, 2: 1.33}),  # mean 2, std 3.52; it falls, then rises
    ],
)
def test_distances_along_std_by_hand(honest, f, rule, distances):
    honest = rows_of(*honest).double()
    trials = trials_of(honest, f, rule)
    ask = trials.along(std(honest))
    assert ask(list(distances), trials.distance) == pytest.approx(list(distances.values()), abs=0.005)
    assert ask([0.0], Answer.share) == [-math.inf]  # it has no weights


def test_all_measures_by_hand():
    """Rows 1 and 3, one forged row 2 - 5 = -3 of weight 1/3: R = 1/3, |R - m| = 5/3, <R, m> / |m|^2 = 1/6."""
    trials, direction = trials_of(rows_of(1, 3), 1, "mean"), torch.tensor([-1.0])
    wanted = {trials.distance: [0, 5 / 3], Answer.progress: [1, 1 / 6], Answer.share: [1 / 3, 1 / 3]}
    for objective, values in wanted.items():
        assert trials.along(direction)([0.0, 5.0], objective) == pytest.approx(values)
        answers = [trials.answer(trials.row(direction, strength)) for strength in (0.0, 5.0)]
        assert [float(objective(answer)) for answer in answers] == pytest.approx(values)


@pytest.mark.parametrize(
    ("h", "f", "n", "own", "copies", "told"),
    [
        (40, 10, 50, False, 10, 10),  # all that there are
        (20, 10, 50, False, 5, 5),  # round(20 * 10 / 40)
        (3, 4, 12, False, 2, 2),  # round(1.5)
        (1, 1, 50, False, 1, 0),  # at least one copy; of two rows the median tolerates none
        (10, 10, 50, True, 2, 2),  # floor(100 / 50)
        (2, 2, 50, True, 1, 1),
        (10, 10, 20, True, 5, 5),  # as many own rows as there are honest ones: they are none
    ],
)
def test_the_share_of_copies_is_that_of_the_round(h, f, n, own, copies, told):
    trials = trials_of(make_rows(h, 2, 0, "gauss", seed=0), f, "median", n, own)
    assert (trials.copies, trials.f) == (copies, told)


def test_a_row_that_is_no_float32_is_not_tried():
    trials = trials_of(rows_of(-1, 0, 1), 1, "median")
    found = trials.along(torch.ones(1).double())([0.0, 1e39], trials.distance)
    assert (found[0], found[1]) == (0, -math.inf)
    assert trials.failed == 0


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("rule", ["mean", "rfa", "median"])
def test_rows_of_the_largest_size_give_finite_rows(rule, kind):
    """A rule that takes many tries at once is asked with float64 points, which are finite where rows are not."""
    honest = make_rows(5, 3, 0, "gauss", seed=0).to(kind) * (1e37 if kind == torch.float32 else 1e68)
    forgery = forge("opt(cap=1e6)", honest, 1, rule)
    assert forgery.rows.isfinite().all()
    assert forgery.notes["tau"] != 0


# The searches alone.


def counted(function):
    tried = []

    def objective(strengths):
        tried.extend(strengths)
        return [function(strength) for strength in strengths]

    return objective, tried


def test_the_line_searches_of_others_by_hand():
    """The largest value is at 1. ByzFL tries 0, 10, 8, 6.4, ...: 10 * 0.8^8 = 1.678 is the first that beats 0, and what
    follows goes up from there. EPFL's tries 0, 1, 3, then 3 - 1.6 = 1.4, 1.4 - 1.28 = 0.12, 0.12 + 1.024 = 1.144, ...
    """
    objective, tried = counted(lambda x: -abs(x - 1))
    found = line_search(objective, 10.0, 20, returns=False)
    assert found.strength == pytest.approx(10 * 0.8**8)
    assert tried[:5] == pytest.approx([0, 10, 8, 6.4, 5.12])
    assert tried[10] == pytest.approx(found.strength + 10 * 0.8**9)
    assert (len(tried), found.tries, found.unbounded) == (20, 20, False)
    objective, tried = counted(lambda x: -abs(x - 1))
    assert line_search(objective, 1.0, 16, returns=True).strength == 1
    assert tried[:6] == pytest.approx([0, 1, 3, 1.4, 0.12, 1.144])
    assert len(tried) == 16
    objective, tried = counted(lambda x: x)
    assert line_search(objective, 1.0, 5, returns=True).unbounded
    assert tried == [0, 1, 3, 7, 15]
    objective, tried = counted(lambda x: -x)  # never below 0: 1 - 0.8, then 0.2 - 0.64 halved towards 0.2
    line_search(objective, 1.0, 4, returns=True)
    assert tried == pytest.approx([0, 1, 0.2, 0.2 / 2 + (0.2 - 0.64) / 4 + 0.2 / 4])


@pytest.mark.parametrize("top", [0.0037, 0.37, 5.5, 700.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_grid_finds_the_near_side_of_a_jump(top, sign):
    """A value that rises to `top` and is 0 beyond, on one side; on the other it is half as large."""

    def value(x):
        return abs(x) * (1 if x * sign > 0 else 0.5) if abs(x) <= top else 0.0

    objective, tried = counted(value)
    found = grid_search(objective, 1.0, 1000.0, (1, -1), 120)
    assert 0.999 * top <= sign * found.strength <= top
    assert found.value == abs(found.strength)
    assert len(tried) == found.tries <= 120
    assert not found.unbounded
    half = grid_search(counted(value)[0], 1.0, 1000.0, (-sign,), 120)
    assert 0.999 * top <= -sign * half.strength <= top


def test_ties_go_to_the_nearest_strength_or_the_farthest_and_to_plus():
    plateau, _ = counted(lambda x: 1.0 if 2 <= abs(x) <= 30 else 0.0)
    assert grid_search(plateau, 1.0, 1000.0, (1, -1), 120).strength == pytest.approx(2, rel=1e-3)
    assert grid_search(plateau, 1.0, 1000.0, (1, -1), 120, outward=True).strength == pytest.approx(30, rel=1e-2)
    level, _ = counted(lambda x: 1.0)
    assert grid_search(level, 1.0, 1000.0, (1, -1), 120).strength == 0
    assert grid_search(level, 0.5, 4.0, (1, -1), 120, outward=True).strength == 2
    rounding, _ = counted(lambda x: 1.0 + 1e-9 * math.sin(1e6 * x))
    assert grid_search(rounding, 1.0, 1000.0, (1, -1), 120).strength == 0
    broken, _ = counted(lambda x: -math.inf)
    assert grid_search(broken, 1.0, 1000.0, (1, -1), 120).value == -math.inf


@given(tries=st.integers(4, 300), cap=st.floats(0.01, 1e6), both=st.booleans())
def test_no_search_tries_more_than_it_may(tries, cap, both):
    objective, tried = counted(lambda x: x if x < 0.3 else 0.0)
    found = grid_search(objective, 2.0, cap, (1, -1) if both else (1,), tries)
    assert found.tries == len(tried) <= tries
    assert max(map(abs, tried)) == pytest.approx(2 * cap)


# The attack.


def test_by_hand():
    """Rows 0, 1, 2, 3, 10 (mean 3.2), two forged copies at v: the median is v clipped to [1, 3]."""
    honest = rows_of(0, 1, 2, 3, 10)
    reached = {"plus": 0.2, "minus": 2.2, "both": 2.2}
    for sides, distance in reached.items():
        notes = forge(f"opt(sides={sides})", honest, 2).notes
        assert notes["objective"] == pytest.approx(distance, rel=1e-4)
        assert (notes["tau"] < 0) == (distance > 1)
        assert notes["unbounded"] is False
    forgery = forge("opt", honest, 2)
    tau = (3.2 - 1) / std(honest).item()  # the first strength at which the median is at its end
    assert forgery.notes["tau"] == pytest.approx(-tau, rel=1e-2)
    assert forgery.rows[:, 0].tolist() == pytest.approx([3.2 + forgery.notes["tau"] * std(honest).item()] * 2)
    assert forge("opt(objective=progress)", honest, 2).notes["objective"] == pytest.approx(1 / 3.2, rel=1e-4)


def test_every_direction_by_hand():
    """Rows (0, 2), (0, 4), (6, -9), mean (2, -1), std (sqrt 8, sqrt(98 / 3)), median (0, 2). On the plain mean of four
    rows the value rises up to the cap, where the row is as far from the mean as the farthest honest one, sqrt(80).
    """
    honest = rows_of((0, 2), (0, 4), (6, -9))
    mean, far = np.array([2.0, -1.0]), math.sqrt(80)
    directions = {
        "std": (math.sqrt(8), math.sqrt(98 / 3)),
        "ipm": (-2, 1),
        "unit": (-2 / math.sqrt(5), 1 / math.sqrt(5)),
        "sign": (-1, 1),
        "skew": (-2, 3),
        "ones": (1, 1),
    }
    for p, direction in directions.items():
        forgery = forge(f"opt(p={p},cap=1)", honest, 1, "mean")
        length = np.linalg.norm(direction)
        assert forgery.rows[0].numpy() == pytest.approx(mean + far / length * np.array(direction), rel=1e-5)
        assert forgery.notes["tau"] == pytest.approx(far / length, rel=1e-5)
        assert forgery.notes["objective"] == pytest.approx(far / 4, rel=1e-5)
        assert forgery.notes["unbounded"] is True


def test_rfa_follows_rows_that_are_huge_and_eight_steps_do_not_reach():
    """A geometric median of a fixed number of steps has no bound; 200 steps find it also from 10^6 times as far."""
    honest = make_rows(40, 100, 0, "gauss", seed=0)
    few, far, many = (
        forge(f"opt(cap={cap})", honest, 10, rule).notes
        for cap, rule in ((1000, "rfa"), (1e6, "rfa"), (1e6, "rfa(steps=200)"))
    )
    assert (few["unbounded"], far["unbounded"], many["unbounded"]) == (False, True, False)
    assert far["objective"] > 5 * few["objective"]
    assert many["objective"] == pytest.approx(few["objective"], rel=0.1)


@pytest.mark.parametrize("middle", ["midpoint", "lower", "upper"])
@given(data=st.data())
def test_no_strength_of_lie_moves_an_odd_median_farther(middle, data):
    """Along std the distance of the median of an odd number of rows never falls as the strength grows."""
    f = data.draw(st.integers(1, 3))
    n, d = 2 * data.draw(st.integers(f, 6)) + 1, data.draw(st.integers(1, 6))
    kind = data.draw(st.sampled_from(["gauss", "heavy", "duplicates", "offset", "sparse", "f 1e6"]))
    honest = make_rows(n - f, d, 1, kind, data.draw(st.integers(0, 2**32 - 1)))
    rule, own = aggregators.make(f"median(middle={middle})"), torch.zeros(f, d)
    mean = honest.double().mean(0)

    def distance(rows):
        return float((rule(torch.cat([rows, honest]), f).double() - mean).norm())

    reached = distance(forge("optlie", honest, f, rule).rows)
    slack = 1e-5 * reached + 2.0**-22 * float(honest.abs().max()) * d
    for z in data.draw(st.lists(st.floats(0, 50), min_size=5, max_size=5)):
        for sign in (1, -1):
            assert reached >= distance(att.LIE(z=z, sign=sign)(honest, own)) - slack


@pytest.mark.parametrize(
    "rule", ["mean", "median", "rbtm", "multikrum", "rfa", "cclip(tau=1.0)", "aksel", "nnm+median"]
)
@given(data=st.data())
def test_the_strength_found_is_no_worse_than_a_fixed_one(rule, data):
    """Up to the grid: it may miss where a rule jumps, but comes near it."""
    h, d = data.draw(st.integers(6, 20)), data.draw(st.integers(1, 30))
    f = data.draw(st.integers(1, h // 2))
    honest = make_rows(h, d, 0, "gauss", seed=data.draw(st.integers(0, 10**6)))
    trials = trials_of(honest, f, rule)
    for searched, fixed in (("opt(p=ipm)", "ipm(epsilon={})"), ("opt(p=std)", "lie(z={})")):
        attack = att.make(fixed.format(data.draw(st.floats(0.1, 20))))
        reached = float(trials.distance(trials.answer(attack(honest, honest[:f])[0])))
        assert forge(searched, honest, f, rule).notes["objective"] >= 0.95 * reached


CELLS = [(h, f, skew, seed) for h, f in ((8, 2), (16, 4)) for skew in (0.5, 3.0) for seed in range(2)]


def skewed(h, skew, seed, d=40):
    """Rows around four centres that are `skew` times as far apart as the rows of a centre."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((h, d)) + skew * draw.standard_normal((4, d))[draw.integers(4, size=h)]
    return torch.from_numpy((rows + draw.standard_normal(d)).astype("f"))


@pytest.mark.parametrize("rule", ["multikrum", "nnm+multikrum", "nnm+rbtm"])
def test_the_grid_beats_the_searches_of_others_and_comes_near_the_best(rule):
    """Beside the best of 150 strengths on the plus side: at least 0.9 everywhere, 0.99 in the median."""
    shares = {"grid": [], "byzfl": []}
    for h, f, skew, seed in CELLS:
        honest = skewed(h, skew, seed)
        trials, direction = trials_of(honest, f, rule), std(honest)
        unit = trials.radius / float(direction.norm())
        strengths = unit * np.geomspace(1e-3, 1e3, 150)
        best = max(trials.along(direction)(strengths.tolist(), trials.distance))
        shares["grid"].append(forge("opt(sides=plus)", honest, f, rule).notes["objective"] / best)
        shares["byzfl"].append(forge("opt(search=byzfl)", honest, f, rule).notes["objective"] / best)
    assert min(shares["grid"]) >= 0.9
    assert np.median(shares["grid"]) >= 0.99
    assert min(shares["byzfl"]) <= 0.9


@pytest.mark.parametrize("rule", ["multikrum", "multikrum(m=1)"])
def test_agr_sends_the_largest_strength_that_is_still_selected(rule):
    honest = make_rows(12, 30, 0, "gauss", seed=5)
    trials, direction = trials_of(honest, 3, rule), std(honest)
    forgery = forge("agr", honest, 3, rule)
    unit = trials.radius / float(direction.norm())
    strengths = [*(-unit * np.geomspace(1e3, 1e-3, 500)), 0.0, *(unit * np.geomspace(1e-3, 1e3, 500))]
    shares = np.array(trials.along(direction)(strengths, Answer.share))
    assert forgery.notes["objective"] == pytest.approx(shares.max())
    largest = max(abs(np.array(strengths)[shares > shares.max() - 1e-9]))
    assert abs(forgery.notes["tau"]) >= 0.97 * largest
    assert forgery.notes["unbounded"] is False


def test_agr_on_a_rule_without_weights_is_distance():
    honest = make_rows(9, 6, 0, "heavy", seed=1)
    found, wanted = (forge(name, honest, 2, "rbtm").notes for name in ("agr", "opt"))
    assert (found["objective"], found["tau"]) == pytest.approx((wanted["objective"], wanted["tau"]), rel=1e-3)


def test_the_searches_for_ipm_begin_at_epsilon_0():
    """ByzFL's and EPFL's searches try -epsilon mean; epsilon 0 sends 0, and tau = epsilon + 1. On the mean of rows 1, 3
    and one forged row, |R - m| = 2 (epsilon + 1) / 3 rises: EPFL's tries epsilon 0, 1, 3, 7.
    """
    forgery = forge("opt(p=ipm,search=epfl,tries=4)", rows_of(1, 3), 1, "mean")
    assert forgery.rows.item() == -14
    assert forgery.notes == {"tau": 8.0, "objective": pytest.approx(16 / 3), "unbounded": True, "tries": 4}


def test_what_has_no_direction_or_no_spread_sends_the_mean():
    for name in ("opt", "opt(p=skew)", "opt(p=ipm)", "opt(p=unit)", "agr"):
        forgery = forge(name, torch.ones(5, 3), 2, "multikrum")
        assert forgery.rows.tolist() == [[1.0] * 3] * 2
        assert (forgery.notes["tau"], forgery.notes["unbounded"]) == (0.0, False)
    zero = rows_of(-1, 1)
    for name in ("opt(p=ipm)", "opt(p=sign)", "opt(p=unit)", "opt(p=skew)", "opt(p=ipm,search=byzfl)"):
        assert forge(name, zero, 1).rows.item() == 0


@dataclass(frozen=True, kw_only=True)
class Overflows(Aggregator):
    """The mean, infinite as soon as an entry is above a limit."""

    key: ClassVar[str] = "overflows"
    limit: float

    def outcome(self, rows, f, generator):
        value = rows.updates.mean(0)
        return Outcome(value if float(rows.updates.abs().max()) <= self.limit else value * torch.inf)


def test_an_aggregate_that_is_not_finite_is_no_success():
    """Of rows 0 and 2 the mean is 1: the strength goes up to the limit. Where none is finite, the note says None."""
    forgery = forge("opt(sides=plus)", rows_of(0, 2), 1, Overflows(limit=50.0))
    assert 49 < forgery.rows.item() <= 50
    assert forgery.notes["failed_tries"] > 0
    notes = forge("opt", rows_of(0, 2), 1, Overflows(limit=0.1)).notes
    assert (notes["objective"], notes["failed_tries"]) == (None, notes["tries"])


def test_a_rule_that_raises_on_some_tries_is_asked_on():
    """The mean of rows 0, 2 and one forged row, which raises on rows beyond 50: the strength goes up to that."""

    def careful(updates, f):
        if updates.abs().max() > 50:
            raise ValueError("too far")
        return updates.mean(0)

    forgery = forge("opt(sides=plus)", rows_of(0, 2), 1, aggregators.make(careful))
    assert 49 < forgery.rows.item() <= 50
    assert 0 < forgery.notes["failed_tries"] < forgery.notes["tries"]


def test_ipm_and_unit_turn_with_the_rows():
    honest = make_rows(9, 6, 0, "gauss", seed=1).double()
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))[0]
    for p in ("ipm", "unit"):
        sent, turned = (forge(f"opt(p={p})", rows, 2, "multikrum").rows for rows in (honest, honest @ turn))
        torch.testing.assert_close(turned, sent @ turn)


def test_names_presets_and_options():
    assert att.make("optlie") == att.make("opt") == att.Opt(p="std")
    assert att.make("optipm") == att.Opt(p="ipm")
    assert att.make("agr") == att.Opt(objective="selected")
    assert att.make("opt", preset="byzfl") == att.Opt(search="byzfl")
    wrong = [("p", "mean"), ("objective", "kappa"), ("sides", "left"), ("cap", 0), ("cap", 1e9)]
    for option, value in [*wrong, ("search", "golden"), ("tries", 3), ("tries", 9.5)]:
        with pytest.raises(InputError, match=f"opt: {option} must be"):
            att.make(f"opt({option}={value})")
    for both in ("sides=both", "cap=3"):
        with pytest.raises(InputError, match="sides and cap belong to search=grid: search=byzfl looks at"):
            att.make(f"opt(search=byzfl,{both})")
    assert att.make("opt(search=epfl,sides=plus)").sides == "plus"


def test_the_number_of_tries():
    honest = make_rows(9, 6, 0, "gauss", seed=1)
    for options, tries in (("", 120), ("tries=40", 40), ("search=epfl", 16), ("search=byzfl", 20), ("p=ipm", 120)):
        assert (
            tries - 3 < forge(f"opt({options})" if options else "opt", honest, 2, "multikrum").notes["tries"] <= tries
        )


COPIES = ["median", "rbtm", "rbtm(tails=clamp)", "average(a=median,b=rbtm)", "average(a=mean,b=rbtm)", "aksel"]


@pytest.mark.parametrize("rule", COPIES)
def test_copies_of_a_row_are_tried_as_the_rule_answers_to_them(rule):
    honest = torch.randn(9, 7, generator=torch.Generator().manual_seed(2)) + 5
    trials, direction = trials_of(honest, 2, rule), std(honest)
    strengths = [-3.0, -0.2, 0.0, 1.0, 1e6, 1e39]
    found = trials.along(direction)(strengths, trials.distance)
    answers = [trials.answer(trials.row(direction, each)) for each in strengths[:-1]]
    assert found[:-1] == pytest.approx([float(trials.distance(answer)) for answer in answers], rel=1e-6)
    assert found[-1] == -math.inf  # the row overflows
    assert trials.failed == 0


def test_a_subclass_with_an_outcome_of_its_own_is_tried_on_the_rows():
    class Lower(aggregators.Median):
        """The least entry of each column, by blocks of rows."""

        key: ClassVar[str] = "lower-of-own"

        def outcome(self, rows, f, generator):
            return Outcome(torch.cat([block.amin(0) for _, block in rows.blocks()]))

    honest = rows_of((0,), (1,), (2,))
    context = context_of(Lower(), 3, 1, None, 1)
    forgery = att.Opt(objective="progress").explain(honest, honest[:1], n=4, context=context)
    assert forgery.rows[0, 0] < -100


def test_the_direction_that_a_vote_on_signs_does_not_turn_round_by_hand():
    """rlr turns a column round where fewer than 2 of 5 signs outweigh: far entries -, none, and + move it down."""
    honest = rows_of((1, 2, 3), (1, 2, 3), (1, 2, -1), (1, -2, -1))
    view = view_of(honest, 1, "rlr")
    assert turned(view, torch.tensor([1.0, 1.0, 1.0]).double()).tolist() == [-1, 0, 1]
    assert turned(view, torch.tensor([0.5, 0.0, -2.0]).double()).tolist() == [-0.5, 0, -2]  # a far - moves it up
    rule = Informed(rule=aggregators.make("rlr"), round=Round(clients=range(5)), known=range(1, 5))
    informed = replace(view, context=replace(view.context, rule=rule))
    assert turned(informed, torch.ones(3, dtype=torch.float64)).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("rule", ["median", "multikrum", "aksel", "meamed", "bulyan", "nnm+median"])
def test_other_rules_turn_nothing_round(rule):
    honest = torch.randn(12, 5, generator=torch.Generator().manual_seed(4)) + 1
    assert turned(view_of(honest, 2, rule), torch.ones(5, dtype=torch.float64)) is None


def test_a_rule_whose_far_rows_move_every_column_against_u_turns_nothing_round():
    honest = torch.rand(8, 5, generator=torch.Generator().manual_seed(4)) + 1
    assert turned(view_of(honest, 2, "rlr"), torch.ones(5, dtype=torch.float64)) is None
