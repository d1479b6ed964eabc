"""The attack that asks the rule: what it sends is what it predicted, within its cap, and harder than random rows."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from cases import KINDS, known, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from gradskew import aggregators as agg
from gradskew.aggregators.informed import Informed
from gradskew.attacks import Adaptive, Context, make
from gradskew.attacks.candidates import Scene
from gradskew.attacks.further import search_ascent
from gradskew.attacks.queries import COLUMNS, Queries
from gradskew.attacks.search import Search
from gradskew.core.errors import InputError
from gradskew.core.round import Round
from gradskew.core.rows import Rows
from gradskew.core.span import Span

N, F, D = 20, 4, 30
RULES = [
    "mean",
    "multikrum",
    "rfa",
    "nnm+multikrum",
    "nnm+rbtm",
    "cclip(tau=0.5)",
    "monna",
    "caf",
    "arc+rfa",
    "meamed",
    "rlr",
]


def context(rule, d=D, f=F, h=N - F, **others):
    given = {"round": 0, "params": torch.zeros(d), "rule": rule, "clients": range(f, f + h), "f": f}
    return Context(**(given | others))


def attack_on(name, honest, f=F, **options):
    """Return the forgery against a rule, and its aggregate minus the mean of the honest rows."""
    rule = agg.make(name)
    given = {"aim": "stop", "cap": None} | options
    forgery = Adaptive(**given).explain(
        honest, honest[:f].clone(), context=context(rule, honest.shape[1], f, len(honest))
    )
    value = rule(torch.cat([forgery.rows, honest]), f).double()
    return forgery, value - honest.double().mean(0)


def rows(seed=0, n=N - F, d=D):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=rng) + 0.3 * torch.randn(d, generator=rng)


@pytest.mark.parametrize("effort", ["fast", "full"])
@pytest.mark.parametrize("name", RULES)
def test_what_it_predicts_is_what_the_rule_makes_of_its_rows(name, effort):
    honest = rows()
    forgery, gap = attack_on(name, honest, effort=effort, **({"tries": 40} if effort == "full" else {}))
    u = honest.double().mean(0)
    u /= u.norm()
    assert forgery.notes["moved"] == pytest.approx(-float(gap @ u), rel=1e-3, abs=1e-4)
    assert forgery.notes["moved"] > 0


@pytest.mark.parametrize("name", ["multikrum", "nnm+multikrum", "rfa", "cclip(tau=0.5)", "monna", "meamed", "rlr"])
def test_it_finds_more_than_random_rows(name):
    honest = rows(1)
    forgery, _ = attack_on(name, honest)
    rule, mean = agg.make(name), honest.double().mean(0)
    u = mean / mean.norm()
    rng = torch.Generator().manual_seed(2)
    spread = float((honest.double() - mean).square().sum(1).mean().sqrt())
    best = -math.inf
    for index in range(300):
        direction = torch.randn(F if index % 2 else 1, D, generator=rng).double()
        direction -= index % 3 * direction.norm(dim=1, keepdim=True) * u  # every third one mostly against u
        size = spread * 10 ** float(torch.empty(1).uniform_(-0.5, 1.0, generator=rng))
        forged = (mean + size * direction / direction.norm(dim=1, keepdim=True)).float().expand(F, -1)
        value = rule(torch.cat([forged, honest]), F).double()
        best = max(best, -float((value - mean) @ u))
    assert forgery.notes["moved"] >= 0.95 * best


def test_more_effort_never_finds_less_where_tries_are_exact():
    honest = rows(3)
    for name in ("multikrum", "rfa", "nnm+multikrum", "caf"):
        fast, full = (attack_on(name, honest, effort=effort)[0].notes["moved"] for effort in ("fast", "full"))
        assert full >= fast


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ["nnm+rbtm", "nnm+median"])
def test_more_effort_finds_as_much_where_tries_are_compared_on_some_columns(name, seed):
    """Evolved rows fit the 128 columns: the best of the others are judged on all columns beside them."""
    honest = rows(seed, n=30, d=2000) * torch.linspace(0.2, 5, 30)[:, None]
    fast, full = (attack_on(name, honest, f=8, effort=effort)[0].notes["moved"] for effort in ("fast", "full"))
    assert full >= 0.999 * fast


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind not in ("one 1e30", "f 1e30")]),
    h=st.integers(1, 9),
    f=st.integers(1, 4),
    d=st.integers(1, 6),
    cap=st.sampled_from([0.5, 1.0, 3.0]),
    effort=st.sampled_from(["fast", "full"]),
    name=st.sampled_from(["mean", "multikrum", "median", "nnm+mean", "dnc"]),
)
def test_no_row_is_farther_from_the_mean_than_the_cap_allows(kind, h, f, d, cap, effort, name):
    honest, rule = make_rows(h, d, 1, kind, 7), agg.make(name)
    attack = Adaptive(aim="stop", cap=cap, effort=effort, **({"tries": 20} if effort == "full" else {}))
    told = min(f, rule.max_f(h + f))
    forged = attack(honest, honest[:1].expand(f, -1), context=context(rule, d, told, h)).double()
    mean = honest.double().mean(0)
    farthest = float((honest.double() - mean).norm(dim=1).max())
    size = float(honest.double().norm(dim=1).max())
    assert forged.isfinite().all()
    assert float((forged - mean).norm(dim=1).max()) <= cap * farthest * (1 + 1e-4) + 1e-5 * size


def test_with_some_honest_rows_known_it_sends_a_row_for_each_byzantine_client():
    honest = rows(4, n=6)
    rule = agg.make("multikrum")
    attack = Adaptive(aim="stop")
    forged = attack(honest, rows(5, n=F), n=N, context=context(rule, h=6))
    assert forged.shape == (F, D)


def test_aims_are_sums_of_unit_vectors():
    honest = rows(6)
    mean = honest.double().mean(0)
    w, start = torch.randn(D), torch.randn(D)
    given = context(agg.make("mean"), params=w, initial=start, gradient=lambda params, data: 5 * params)
    unit = lambda vector: vector.double() / vector.double().norm()  # noqa: E731
    ahead = w.double() - mean
    assert torch.allclose(Adaptive(aim="stop").direction(mean, given), unit(mean))
    assert torch.allclose(Adaptive(aim="undo").direction(mean, given), unit(start - w), atol=1e-6)
    assert torch.allclose(
        Adaptive(aim="loss+stop+undo").direction(mean, given), unit(ahead) + unit(mean) + unit(start - w), atol=1e-6
    )
    same = dataclasses.replace(given, initial=w)
    assert torch.allclose(Adaptive(aim="undo").direction(mean, same), unit(mean))


def test_a_gradient_that_is_not_finite_is_replaced_by_the_mean():
    honest = rows(6)
    for value in (float("nan"), float("inf")):
        given = context(agg.make("mean"), gradient=lambda params, data, value=value: torch.full((D,), value))
        mean = honest.double().mean(0)
        assert torch.allclose(Adaptive(aim="loss").direction(mean, given), mean / mean.norm())
        assert Adaptive(aim="loss", cap=None)(honest, honest[:F].clone(), context=given).isfinite().all()


def test_rows_with_buffers_behind_the_parameters():
    honest = rows(12)
    given = context(
        agg.make("mean"),
        params=torch.zeros(D - 4),
        initial=torch.ones(D - 4),
        previous=torch.ones(D - 4),
        gradient=lambda params, data: params,
    )
    attack = Adaptive(aim="loss+stop+undo")
    for _ in range(2):
        attack.observe(honest)
    assert attack(honest, honest[:F].clone(), context=given).shape == (F, D)
    assert not Adaptive(aim="undo").direction(honest.double().mean(0), given)[-4:].any()


def test_the_loss_is_of_the_images_that_data_names():
    asked = []
    given = context(agg.make("mean"), gradient=lambda params, data: asked.append(data) or params)
    for data in ("all", "own"):
        Adaptive(aim="loss", data=data)(rows(), rows()[:F], context=given)
    assert asked == ["all", "own"]


def test_a_rule_that_needs_more_than_the_rows_is_asked_with_it():
    honest, round = rows(8), known(N, D)
    for name in ("fltrust", "monna(pivot=reference)", "foolsgold", "lasa", "flame"):
        copy = Informed(rule=agg.make(name), round=round, known=range(F, N))
        forged = Adaptive(aim="stop", limit=20)(honest, honest[:F].clone(), context=context(copy))
        assert forged.isfinite().all()


def test_a_rule_with_a_state_is_asked_with_it():
    rule = agg.make("cclip(tau=0.5)")
    rule.observe(torch.full((D,), 2.0))
    honest = rows(9)
    forgery = Adaptive(aim="stop").explain(honest, honest[:F].clone(), context=context(rule))
    value = rule(torch.cat([forgery.rows, honest]), F).double()
    u = honest.double().mean(0)
    moved = -float((value - u) @ (u / u.norm()))
    assert forgery.notes["moved"] == pytest.approx(moved, rel=1e-3, abs=1e-4)


def test_a_state_of_all_columns_is_tried_on_all_columns():
    """FoolsGold adds each row to the history of its client; tries on some columns would not fit it."""
    rule, honest = agg.make("foolsgold"), rows(9, n=8, d=4200)
    assert honest.shape[1] > COLUMNS
    past = torch.cat([rows(8, n=2, d=4200), honest])
    clients = list(range(10))
    rule.observe(past.mean(0), rows=Rows(past, round=Round(clients=clients)))
    informed = Informed(rule=rule, round=Round(clients=clients), known=range(2, 10))
    given = context(informed, 4200, 2, 8)
    forgery = Adaptive(aim="stop", limit=6).explain(honest, honest[:2].clone(), context=given)
    assert "failed_tries" not in forgery.notes


def test_a_users_function_is_asked_on_the_rows():
    def middle(updates, f, *, generator=None):
        return updates.double().median(0).values

    honest = rows(10)
    forgery = Adaptive(aim="stop", limit=40).explain(honest, honest[:F].clone(), context=context(agg.make(middle)))
    assert forgery.notes["tries"] <= 40
    assert forgery.notes["moved"] > 0


@pytest.mark.parametrize("effort", ["fast", "full"])
@pytest.mark.parametrize("name", ["a function", "multikrum"])
def test_a_rule_that_fails_on_every_try_gets_the_mean(name, effort, monkeypatch):
    def broken(updates, f, *, generator=None):
        raise InputError("it is broken")

    def weigh(self, rows, f, generator):
        raise InputError("it is broken")

    monkeypatch.setattr(agg.MultiKrum, "weigh", weigh)
    honest = rows()
    rule = agg.make(broken) if name == "a function" else agg.make(name)
    forgery = Adaptive(aim="stop", limit=40, effort=effort).explain(honest, honest[:F].clone(), context=context(rule))
    assert "it is broken" in forgery.notes["won"]
    assert forgery.notes["failed_tries"] == forgery.notes["tries"]
    assert torch.allclose(forgery.rows, honest.mean(0).expand(F, -1), atol=1e-5)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_rule_that_fails_on_some_tries_is_asked_on(value):
    """It raises, or gives NaN or Inf, on far rows: they count as failed, and the others are compared."""

    def middle(updates, f):
        far = float((updates - updates.median(0).values).norm(dim=1).max()) > 50
        if far and value is None:
            raise ValueError("too far")
        return updates.median(0).values * (value if far else 1)

    honest = rows()
    forgery = Adaptive(aim="stop", cap=None).explain(honest, honest[:F].clone(), context=context(agg.make(middle)))
    assert 0 < forgery.notes["failed_tries"] < forgery.notes["tries"]
    assert forgery.notes["moved"] > 0
    assert middle(torch.cat([forgery.rows, honest]), F).isfinite().all()


@pytest.mark.parametrize("cap", [3.0, None])
@pytest.mark.parametrize("centre", ["median", "mean"])
def test_a_rule_that_answers_one_try_in_two_ways_is_noted(centre, cap):
    """Also where the best try moves the rule by so much that the difference is lost in it."""
    calls = []

    def drifting(updates, f):
        calls.append(0)
        return (updates.mean(0) if centre == "mean" else updates.median(0).values) + len(calls) * 0.1

    honest = rows()
    rule = agg.make(drifting)
    won = (
        Adaptive(aim="stop", limit=30, cap=cap).explain(honest, honest[:F].clone(), context=context(rule)).notes["won"]
    )
    assert won.endswith(", by a rule that answers one try in two ways")


@pytest.mark.parametrize("name", ["multikrum", "median", "bulyan", "nnm+rbtm", "cclip", "dnc", "mda", "meamed"])
@pytest.mark.parametrize(("h", "own"), [(1, False), (2, False), (3, False), (2, True), (5, True)])
def test_few_known_rows_and_own_rows_in_their_place(name, h, own):
    known = Rows(rows(13, n=h))
    others = known if own else Rows(rows(14, n=F))
    forgery = Adaptive(aim="stop", limit=30).explain(known, others, n=N, context=context(agg.make(name), h=h))
    assert forgery.rows.shape == (others.n, D)
    assert forgery.rows.isfinite().all()


def test_a_limit_leaves_strengths_of_all_sizes():
    honest = rows(15)
    for limit in (12, 20, 37, 60):
        won = attack_on("multikrum", honest, limit=limit)[0].notes
        assert won["tries"] <= limit
        assert won["moved"] > 0.2 * attack_on("multikrum", honest)[0].notes["moved"]


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("name", ["multikrum", "nnm+median"])
def test_the_least_limits_make_as_many_tries(name, limit):
    honest = rows(n=6)
    given = context(agg.make(name), f=1, h=6)
    forgery = Adaptive(aim="stop", effort="full", limit=limit).explain(honest, honest[:1], context=given)
    assert forgery.notes["tries"] == limit


@pytest.mark.parametrize(("effort", "least"), [("fast", 3), ("full", 6)])
def test_a_limit_is_shared_among_all_parts(effort, least, monkeypatch):
    """A rule that is not batched has no ascent, the first round no last one; small parts round to no try."""
    made = []
    result = Search.result
    monkeypatch.setattr("gradskew.attacks.search.Search.result", lambda self: made.append(self) or result(self))
    rule, honest = agg.make("mda"), rows(15)
    attack = Adaptive(aim="stop", cap=None, limit=60, effort=effort)
    attack(honest, honest[:F].clone(), context=context(rule))
    assert len(made[0].scores) <= 60
    assert len(set(made[0].parts)) >= least
    assert {"lines", "groups", "decoys"} <= set(made[0].parts)


def test_decoys_break_dnc_with_few_tries_too():
    honest = rows(16, n=40)
    moved = [attack_on("dnc(b=None)", honest, 10, limit=limit)[0].notes["moved"] for limit in (60, None)]
    assert moved[0] > 0.05 * moved[1]


def test_nearest_neighbour_mixing_hides_far_rows_from_a_spectral_filter():
    """Behind NNM, DnC is moved a hundred times as far as the farthest honest row lies from the mean."""
    honest = rows(16, n=40)
    farthest = float((honest - honest.mean(0)).norm(dim=1).max())
    assert attack_on("nnm+dnc(b=None)", honest, 10)[0].notes["moved"] > 100 * farthest


def test_the_rows_of_a_closed_form_lie_beyond_honest_rows_that_are_not_known():
    """Of 16 honest rows four are known: against the trimmed mean it sends what `extreme` sends."""
    honest = rows(15)
    known, rule = honest[:4], agg.make("rbtm")
    given = {"n": N, "context": context(rule, h=4)}
    sent = Adaptive(aim="stop", cap=None)(known, honest[:F].clone(), **given)
    extreme = make("extreme(objective=progress)")(known, honest[:F].clone(), **given)
    assert torch.equal(sent, extreme)


class Refusing(agg.WeightedRule):
    """A user's batched rule that raises, or gives NaN, where a row is far from the others."""

    key = "refusing"
    batched = "span"
    value = None

    def weigh(self, rows, f, generator):
        far = rows.squared_distances.amax((-1, -2)) > 50**2
        if self.value is None and far.any():
            raise ValueError("too far")
        weights = torch.full(rows.shape, 1 / rows.n, dtype=torch.float64)
        return weights * torch.where(far, self.value or 1.0, 1.0).unsqueeze(-1), {}


@pytest.mark.parametrize("value", [None, math.nan])
@pytest.mark.parametrize("batched", ["span", ""])
def test_one_try_on_which_a_batched_rule_fails_is_one_failed_try(batched, value):
    rule, honest = Refusing(), rows()
    object.__setattr__(rule, "batched", batched)
    object.__setattr__(rule, "value", value)
    notes = Adaptive(aim="stop", cap=None).explain(honest, honest[:F].clone(), context=context(rule)).notes
    assert 0 < notes["failed_tries"] < notes["tries"] / 2
    assert notes["moved"] > 1


def test_calls_of_a_slow_rule_are_counted():
    count = 0

    def slow(updates, f, *, generator=None):
        nonlocal count
        count += 1
        return updates.mean(0)

    attack, honest = Adaptive(aim="stop", limit=50), rows(16)
    rule = agg.make(slow)
    attack(honest, honest[:F].clone(), context=context(rule))
    assert count <= attack.calls(rule) + 10


def test_a_seeded_function_is_tried_in_several_draws():
    def drawn(updates, f):
        noise = torch.randn(updates.shape[1])
        return updates.mean(0) + noise

    span = Span(Rows(rows()), [])
    assert Queries(span, agg.make(drawn), F, F, torch.Generator()).draws
    assert not Queries(span, agg.make("meamed"), F, F, torch.Generator()).draws


@pytest.mark.parametrize("scale", [1e-20, 1e30, 1e37])
def test_rows_of_any_size_give_finite_rows(scale):
    honest = rows(17) * scale
    for name in ("mean", "multikrum", "dnc", "nnm+rbtm", "mda"):
        assert attack_on(name, honest)[0].rows.isfinite().all()


@pytest.mark.parametrize("effort", ["fast", "full"])
@pytest.mark.parametrize("cap", [3.0, None])
@pytest.mark.parametrize("least", [0.8, 1.0])
@pytest.mark.parametrize("most", [1.0, 1e30, 3.3e38])
def test_equal_rows_and_rows_of_the_largest_size_give_finite_rows(effort, cap, least, most):
    honest = most * (least + (1 - least) * torch.rand(N - F, D, generator=torch.Generator().manual_seed(0)))
    for name in ("mean", "multikrum", "dnc", "caf"):
        attack = Adaptive(aim="stop", cap=cap, effort=effort, **({"tries": 20} if effort == "full" else {}))
        assert play(attack, 0, honest, name).rows.isfinite().all()
        assert all(value.isfinite().all() for value in attack.state_dict().values() if isinstance(value, torch.Tensor))


def test_random_directions_have_length_1_and_equal_rows_have_none():
    given = (torch.ones(D), N, F, [], None, 0)
    scene = Scene(Rows(rows()), *given)
    directions = scene.random(3, torch.Generator().manual_seed(0))
    assert torch.allclose(scene.span.norms(directions), torch.ones(3).double())
    assert len(scene.units(torch.cat([directions, torch.zeros_like(directions)]))) == 3
    assert not len(Scene(Rows(torch.full((N - F, D), 0.1)), *given).random(3, torch.Generator().manual_seed(0)))


def test_a_try_that_is_not_finite_is_no_try():
    scene = Scene(Rows(rows()), torch.ones(D), N, F, [], None, 0)
    queries = Queries(scene.span, agg.make("multikrum"), F, F, torch.Generator())
    search = Search(scene, queries, lambda answer: -answer.along(scene.u), torch.Generator())
    points = scene.mean.repeat(3, F, 1)
    points[1, 0, 0] = math.inf
    points[2] *= math.nan
    scores = search.add(["one", "two", "three"], points)
    assert math.isfinite(scores[0])
    assert scores[1:] == [-math.inf] * 2
    assert search.names == ["one"]


def test_equal_rows_are_moved_by_their_length():
    honest = torch.ones(N - F, D)
    forgery, gap = attack_on("mean", honest)
    assert float(gap @ honest[0].double()) < 0
    assert forgery.notes["moved"] > 1


@pytest.mark.parametrize("effort", ["fast", "full"])
@pytest.mark.parametrize("cap", [3.0, None])
def test_rows_of_zeros_get_zeros(effort, cap):
    for name in ("mean", "multikrum", "nnm+rbtm", "cclip"):
        forgery, gap = attack_on(name, torch.zeros(N - F, D), effort=effort, cap=cap)
        assert not forgery.rows.any()
        assert not gap.any()
        assert forgery.notes["moved"] == 0


def test_the_error_is_that_of_the_last_round():
    attack, honest = Adaptive(aim="stop"), rows(18)
    for number in (0, 3):
        attack.observe(honest, round=Round(number=number))
    late = context(agg.make("mean"), round=3, previous=torch.ones(D))
    assert attack._error(late) is None  # the last observed round is not the last one
    attack.observe(honest, round=Round(number=4))
    error = attack._error(context(agg.make("mean"), round=4, previous=torch.ones(D)))
    assert torch.allclose(error, 1 - honest.double().mean(0), atol=1e-6)


def play(attack, number, honest, rule="multikrum"):
    """Return the forgery of a round of a federation: the rows are observed, then forged."""
    attack.observe(honest, round=Round(number=number))
    return attack.explain(honest, honest[:F].clone(), context=context(agg.make(rule), round=number))


def searches(monkeypatch):
    """Return a list that takes each search when its ascent has ended."""
    seen = []

    def ascent(search, f):
        search_ascent(search, f)
        seen.append(search)

    monkeypatch.setattr("gradskew.attacks.adaptive.search_ascent", ascent)
    return seen


def test_full_effort_goes_on_from_the_rows_of_the_last_round(monkeypatch):
    """They are tried as far from the new mean as they were from the old one, and the ascent starts there, too."""
    seen, attack = searches(monkeypatch), Adaptive(aim="stop", effort="full", tries=0)
    first, second, fourth = rows(19), rows(20), rows(21)
    sent = play(attack, 0, first).rows
    play(attack, 1, second)
    play(attack, 3, fourth)  # not the round after
    assert ["last round's" in search.names for search in seen] == [False, True, False]
    search = seen[1]
    assert search.names.count("last round's, ascent") == 20
    tried = search.scene.span.materialise(search.forged[search.names.index("last round's")])
    assert torch.allclose(tried, sent - first.mean(0) + second.mean(0), atol=1e-5)


def test_the_state_of_full_effort_is_kept_between_rounds():
    """Saved and loaded it goes on with the same bits; a call leaves no trace on another one in the same round."""
    attack = Adaptive(aim="stop", effort="full", tries=20)
    play(attack, 0, rows(19))
    other = Adaptive(aim="stop", effort="full", tries=20)
    state = attack.state_dict()
    assert other.is_valid_state(state, D)
    other.load_state_dict(state)
    one, two = (play(each, 1, rows(20)) for each in (attack, other))
    again = attack.explain(rows(20), rows(20)[:F], context=context(agg.make("multikrum"), round=1))
    assert torch.equal(one.rows, two.rows)
    assert torch.equal(one.rows, again.rows)
    assert one.notes == two.notes == again.notes
    for wrong in ({"sent": state["sent"][:, 1:]}, {"sent": state["sent"] * math.nan}, {"sent_in": 0.5}, {"last": None}):
        assert not other.is_valid_state(state | wrong, D)
    assert not other.is_valid_state({name: value for name, value in state.items() if name != "sent_in"}, D)
    assert other.is_valid_state({}, D)


def test_only_the_first_call_after_it_observed_a_round_is_remembered():
    """Others, on other rows, against another rule or in no round of a training, change no later answer."""
    one, two = (Adaptive(aim="stop", effort="full", tries=20) for _ in range(2))
    for name in ("rfa", "mean"):
        two.explain(rows(23), rows(23)[:F], context=context(agg.make(name)))
    assert two.state_dict() == {}
    for attack in (one, two):
        play(attack, 0, rows(19))
    before = two.state_dict()
    two.explain(rows(23), rows(23)[:F], context=context(agg.make("rfa")))
    two.explain(rows(19), rows(19)[:F], context=context(agg.make("rfa")))
    assert all(torch.equal(before["sent"], state["sent"]) for state in (one.state_dict(), two.state_dict()))
    assert torch.equal(play(one, 1, rows(20)).rows, play(two, 1, rows(20)).rows)


def test_the_note_says_which_part_of_a_full_search_won(monkeypatch):
    seen = searches(monkeypatch)
    for name in ("multikrum", "mda", "nnm+rbtm"):
        forgery, _ = attack_on(name, rows(22), effort="full", tries=20)
        search = seen.pop()
        assert forgery.notes["part"] in search.parts
        part = search.parts[search.names.index(forgery.notes["won"])]
        assert forgery.notes["part"] == part
    assert "part" not in attack_on("multikrum", rows(22))[0].notes


@pytest.mark.parametrize("kind", ["numpy", "float64", "float16"])
def test_rows_of_other_types(kind):
    honest = rows(11)
    given = {"numpy": honest.numpy(), "float64": honest.double(), "float16": honest.half()}[kind]
    forged = Adaptive(aim="stop")(
        given, given[:F].copy() if kind == "numpy" else given[:F].clone(), context=context(agg.make("multikrum"))
    )
    assert isinstance(forged, np.ndarray) == (kind == "numpy")
    assert forged.dtype == given.dtype


def test_hard_rows():
    for kind in KINDS:
        if kind.endswith("1e30"):
            continue
        for name in ("multikrum", "rfa", "median", "dnc", "nnm+rbtm"):
            honest = make_rows(N - F, D, F, kind, 3)
            forged = Adaptive(aim="stop", effort="full", tries=20)(
                honest, honest[:F].clone(), context=context(agg.make(name))
            )
            assert forged.isfinite().all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adaptive(aim=nothing)", "aim must be a sum of undo, stop, loss"),
        ("adaptive(aim=stop+stop)", "aim must be a sum"),
        ("adaptive(cap=0)", "cap must be"),
        ("adaptive(data=some)", "data must be"),
        ("adaptive(effort=most)", "effort must be"),
        ("adaptive(limit=0)", "limit must be"),
    ],
)
def test_options_out_of_range(name, message):
    with pytest.raises(InputError, match=message):
        make(name)


def test_without_a_context_or_a_gradient_it_says_what_is_missing():
    honest = rows()
    with pytest.raises(InputError, match="it needs a context"):
        Adaptive()(honest, honest[:F])
    with pytest.raises(InputError, match="use aim=stop or undo"):
        Adaptive()(honest, honest[:F], context=context(agg.make("mean")))
    with pytest.raises(InputError, match="needs the first model: use aim=stop or loss"):
        Adaptive(aim="undo")(honest, honest[:F], context=context(agg.make("mean")))
    for name in ("adaptive(aim=stop)", "opt"):
        with pytest.raises(InputError, match=r"fltrust needs .*; there is none here"):
            make(name)(honest, honest[:F], context=context(agg.make("fltrust")))


def test_names():
    assert make("adaptive(aim=loss+stop+undo,cap=None)").name == "adaptive(aim=loss+stop+undo,cap=None)"
