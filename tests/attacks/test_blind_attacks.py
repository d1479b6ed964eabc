"""Attacks that need no honest row: noise, zeros, rows that are not finite, the last step, and fake clients."""

import math
from dataclasses import replace

import numpy as np
import oracle_attacks
import pytest
import torch
from cases import make_rows, rows_of
from hypothesis import example, given
from hypothesis import strategies as st
from tiny import Cuts, Tiny

import gradskew as gs
from gradskew import InputError, Run, aggregators
from gradskew import attacks as att
from gradskew.attacks import Context
from gradskew.core.randomness import generator
from gradskew.core.round import Round
from gradskew.federation import SGD, Federation
from gradskew.models import Linear

BLIND = ["gaussian", "zero", "zero(what=model)", "nonfinite", "replay", "replay(noise=0.1)", "mpaf", "poisonedfl"]


def run_under(name, **changes):
    run = Run(
        source=Tiny(),
        partition=Cuts(sizes=(4,) * 6),
        model=Linear(),
        clients=6,
        byzantine=2,
        rounds=4,
        sgd=SGD(epochs=1, batch=2),
    )
    return replace(run, attack=att.make(name), **changes)


def context(params, previous=None, **given):
    return Context(round=1, params=params, rule=None, clients=(), f=1, previous=previous, **given)


def sent(federation, number):
    """The rows that the Byzantine clients send in a round."""
    federation.round(number)
    return federation.received[:2].clone()


class TestBitFlip:
    def test_by_hand(self):
        """Rows 1 and 3: minus the mean is -2; h/f = 2 times that makes 1 + 3 - 4 = 0."""
        honest, own = rows_of(1, 3), rows_of(5)
        assert att.make("bitflip(of=mean)")(honest, own).item() == -2
        assert att.make("bitflip(of=mean,scale=None)")(honest, own).item() == -4
        assert att.make("bitflip(scale=3)")(honest, own).item() == -15
        assert torch.equal(
            att.make("bitflip(of=mean,scale=0.5)")(honest, own), att.make("ipm(epsilon=0.5)")(honest, own)
        )

    def test_what_it_needs_follows_from_its_row(self):
        assert [att.make(name).needs for name in ("bitflip", "bitflip(of=mean)")] == ["own", "honest"]
        with pytest.raises(InputError, match="scale = None belongs to of = mean"):
            att.make("bitflip(scale=None)")


class TestGaussian:
    def test_moments_and_one_draw_for_each_client(self):
        own = torch.zeros(3, 20_000)
        rows = att.make("gaussian(mu=2,sigma=0.5)")(own, own)
        assert len({row[0].item() for row in rows}) == 3
        for row in rows.double():
            assert row.mean().item() == pytest.approx(2, abs=0.02)
            assert row.std().item() == pytest.approx(0.5, abs=0.02)
        same = att.make("gaussian(mu=2,sigma=0.5,same=True)")(own, own)
        assert torch.equal(same, rows[:1].expand(3, -1))

    def test_where_it_lies(self):
        """Columns 1, 3 and 0, 4: means 2 and 2, deviations 1 and 2."""
        honest, own = rows_of((1, 0), (3, 4)), rows_of((5.0, 7.0), (6.0, 8.0))
        assert torch.equal(att.make("gaussian(sigma=0,around=own)")(honest, own), own)
        assert att.make("gaussian(sigma=0,around=mean,mu=1)")(honest, own).tolist() == [[3, 3]] * 2
        unit, scaled = (att.make(f"gaussian(sigma={sigma})")(honest, own) for sigma in (1, "std"))
        torch.testing.assert_close(scaled, unit * torch.tensor([1.0, 2.0]))

    def test_it_draws_anew_in_each_round_and_for_each_seed(self):
        federation = Federation(run_under("gaussian"))
        first, second = sent(federation, 0), sent(federation, 1)
        assert not torch.equal(first, second)
        assert torch.equal(first, sent(Federation(run_under("gaussian")), 0))
        assert not torch.equal(first, sent(Federation(run_under("gaussian", seed=1)), 0))

    @pytest.mark.parametrize(
        ("options", "needs"),
        [("", "nothing"), ("around=own", "own"), ("around=mean", "honest"), ("sigma=std", "honest")],
    )
    def test_what_it_needs(self, options, needs):
        assert att.make(f"gaussian({options})").needs == needs


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize("rule", ["mean", "median", "multikrum"])
def test_rows_that_are_not_finite_are_taken_out_before_the_rule(value, rule):
    """The aggregate is that of the four honest rows alone, told 2, or the most that the rule tolerates."""
    run = run_under(f"nonfinite(value={value})", aggregator=aggregators.make(rule))
    federation = Federation(run)
    before = federation.params.clone()
    metrics = federation.round(0)
    told = min(2, run.aggregator.max_f(4))
    assert (metrics["rejected"], metrics["rows"], metrics["byzantine_rows"], metrics["f"]) == (2, 4, 0, told)
    assert metrics["clamped"] is (told < 2)
    aggregate = run.aggregator(federation.received, told, generator=generator(run.seed, "rule", 0))
    assert torch.equal(federation.params, before - aggregate)


def test_zero_and_replay_by_hand():
    own, w, before = torch.ones(2, 2), torch.tensor([1.0, -2.0]), torch.tensor([4.0, 0.0])
    assert att.make("zero")(own, own).tolist() == [[0, 0]] * 2
    assert att.make("zero(what=model)")(own, own, context=context(w)).tolist() == [[1, -2]] * 2
    assert att.make("replay")(own, own, context=context(w)).tolist() == [[0, 0]] * 2
    assert att.make("replay")(own, own, context=context(w, before)).tolist() == [[3, 2]] * 2
    noisy = att.make("replay(noise=0.5)")(own, own, context=context(w, before))
    assert not torch.equal(noisy[0], noisy[1])
    assert (noisy - torch.tensor([3.0, 2.0])).abs().max() < 4
    with pytest.raises(InputError, match="needs the model: call it with a context"):
        att.make("zero(what=model)")(own, own)


def test_a_client_whose_model_is_zero_and_one_that_sends_the_last_step():
    federation, models = Federation(run_under("zero(what=model)")), []
    assert torch.equal(sent(federation, 0), federation.attacker.previous.expand(2, -1))
    federation = Federation(run_under("replay"))
    for number in range(3):
        models.append(federation.params.clone())
        rows = sent(federation, number)
        step = models[-2] - models[-1] if number else torch.zeros_like(models[0])
        torch.testing.assert_close(rows, step.expand(2, -1))


@pytest.mark.parametrize("name", ["replay", "rop(z=0)"])
def test_the_last_step_where_the_attack_rests_between_its_rounds(name):
    """In round 2 after round 0: the step of round 1, not both steps."""
    federation, models = Federation(run_under(name, attack_rounds="::2")), []
    for number in range(3):
        models.append(federation.params.clone())
        rows = sent(federation, number)
    assert not torch.allclose(models[0], models[1])
    torch.testing.assert_close(rows, (models[1] - models[2]).expand(2, -1))


def test_poisonedfl_where_it_rests_between_its_rounds():
    """Its step begins at the model of its own last round; `every` counts all rounds: four of them end with round 4."""
    run = run_under("poisonedfl(every=4,shrink=0.5,p=1e-9)", rounds=7, attack_rounds="::2")
    federation, models, rows, strengths = Federation(run), [], [], []
    for number in range(7):
        models.append(federation.params.double().numpy().copy())
        rows.append(sent(federation, number)[0].double().numpy())
        strengths.append(federation.attacker.attack.strength)
    assert strengths == [8, 8, 8, 8, 4, 4, 4]
    oracle = oracle_attacks.PoisonedFLOracle(signs(len(rows[0]), run.seed), c=4, every=9, shrink=1, floor=0, p=0.5)
    oracle.models, oracle.row = [models[4]], rows[4]
    np.testing.assert_allclose(rows[6], oracle.see(models[6]), rtol=1e-3, atol=1e-4 * np.abs(rows[6]).max())


def test_rows_are_longer_than_the_model_where_buffers_are_part_of_them():
    own, w, before = torch.ones(1, 3), torch.tensor([1.0, -2.0]), torch.tensor([4.0, 0.0])
    given = context(w, before, initial=before)
    assert att.make("replay")(own, own, context=given).tolist() == [[3, 2, 0]]
    assert att.make("zero(what=model)")(own, own, context=given).tolist() == [[1, -2, 0]]
    assert att.make("mpaf(base=initial,scale=2)")(own, own, context=given).tolist() == [[-6, -4, 0]]
    attack = played([before, w], d=3)
    assert attack(own, own)[0, 2] == 0


@given(seed=st.integers(0, 10**6), exponent=st.integers(-20, 20))
def test_rows_that_come_from_models_scale_with_them(seed, exponent):
    draw = torch.Generator().manual_seed(seed)
    start, before, now = torch.randn(3, 7, generator=draw)
    own, factor = torch.ones(2, 7), 2.0**exponent
    for name in ("mpaf(base=initial,scale=3)", "replay", "zero(what=model)", "rop(z=0)"):
        plain, scaled = (
            att.make(name)(own, own, context=context(k * now, k * before, initial=k * start)) for k in (1, factor)
        )
        torch.testing.assert_close(scaled, factor * plain, rtol=1e-5, atol=1e-6 * factor)
    plain, scaled = (played([k * start, k * before, k * now])(own, own) for k in (1, factor))
    torch.testing.assert_close(scaled, factor * plain, rtol=1e-5, atol=1e-6 * factor)


def test_rows_that_a_server_multiplies_by_a_rate():
    """w = (1, -2), w^{t-1} = (4, 0) and the rate 0.5: rows are twice what the server subtracts."""
    own, w, before = torch.ones(1, 2), torch.tensor([1.0, -2.0]), torch.tensor([4.0, 0.0])
    given = context(w, before, initial=before, rate=0.5)
    assert att.make("zero(what=model)")(own, own, context=given).tolist() == [[2, -4]]
    assert att.make("replay")(own, own, context=given).tolist() == [[6, 4]]
    assert att.make("mpaf(base=initial,scale=2)")(own, own, context=given).tolist() == [[-12, -8]]
    assert att.make("rop(z=0)")(own, own, context=given).tolist() == [[6, 4]]
    fang = att.make("fang(target=trim,direction=mean,space=model,draw=end)")
    assert fang(own, own, context=given).tolist() == [[0, -1.5]]  # models 1 and -5, beyond them 2 and -2.5
    plain, rated = (played([before, w], rate=rate)(own, own) for rate in (1.0, 0.5))
    assert torch.equal(rated, 2 * plain)


@pytest.mark.parametrize("name", ["zero(what=model)", "mpaf(scale=1,base=initial)", "replay"])
def test_where_rows_are_gradients_the_model_goes_where_the_attack_says(name):
    """The server subtracts the row times the learning rate: w^t, w^t - w^0, or its last step."""
    sgd = SGD(local_steps=1, batch=2, lr=0.25)
    run = run_under(name, byzantine=5, sgd=sgd, rows="gradient", aggregator=aggregators.make("mean"))
    federation = Federation(run)
    start = federation.params.clone()
    federation.round(0)
    before = federation.params.clone()
    row = sent(federation, 1)[0]
    wanted = {"zero(what=model)": before, "mpaf(scale=1,base=initial)": before - start, "replay": start - before}
    torch.testing.assert_close(0.25 * row, wanted[name])


def test_rop_where_a_direction_is_missing():
    """u = 0: q = sin(angle) (1, 1) / sqrt(2), without a cosine; u along (1, 1): only the cosine is left."""
    own, w = torch.ones(1, 2), torch.zeros(2)
    still = context(w, w.clone())
    half = 0.5**0.5
    zeros = torch.zeros(3, 2)
    for angle, along in ((270, -half), (90, half), (180, 0), (30, half / 2)):
        row = att.make(f"rop(z=2,angle={angle})")(zeros, own, context=still)
        torch.testing.assert_close(row, torch.full((1, 2), 2.0 * along), atol=1e-6, rtol=0)
    ahead = context(w, torch.tensor([3.0, 3.0]))  # M = (3, 3)
    for angle, along in ((270, 0), (90, 0), (180, -half), (60, half / 2)):
        row = att.make(f"rop(z=2,angle={angle})")(zeros, own, context=ahead)
        torch.testing.assert_close(row, torch.full((1, 2), 3 + 2.0 * along), atol=1e-5, rtol=0)


def test_rop_takes_the_strength_of_lie_for_the_byzantine_rows_that_there_are():
    """Four of 20 rows, whatever f the server expects: Phi^-1(9 / 16), as LIE."""
    asked = context(torch.zeros(2))
    assert asked.f == 1
    forgery = att.make("rop").explain(torch.ones(16, 2), torch.ones(4, 2), context=asked)
    assert forgery.notes["z"] == pytest.approx(0.157311, abs=1e-6)


def test_rop_takes_the_radius_of_the_rule():
    asked = replace(context(torch.zeros(2), torch.tensor([3.0, 3.0])), rule=aggregators.make("nnm+cclip(tau=0.5)"))
    forgery = att.make("rop(z=tau)").explain(torch.ones(3, 2), torch.ones(1, 2), context=asked)
    assert forgery.notes["z"] == 0.5
    wanted = att.make("rop(z=0.5)")(torch.ones(3, 2), torch.ones(1, 2), context=asked)
    torch.testing.assert_close(forgery.rows, wanted)


def test_a_radius_that_the_rows_decide_is_none_for_rop():
    with pytest.raises(InputError, match="takes a fixed radius, which"):
        att.make("rop(z=tau)").check_rule(aggregators.make("nnm+cclip(tau=least,centre=reference)"))


class TestMPAF:
    def test_by_hand(self):
        own, w, start = torch.ones(1, 2), torch.tensor([1.0, -2.0]), torch.tensor([4.0, 0.0])
        row = att.make("mpaf(scale=10,base=initial)")(own, own, context=context(w, initial=start))
        assert row.tolist() == [[-30, -20]]
        row = att.make("mpaf(scale=10)")(own, own, context=context(w, network=lambda: start))
        assert row.tolist() == [[-30, -20]]
        for base in ("drawn", "initial"):
            with pytest.raises(InputError, match=f"needs the {base} model"):
                att.make(f"mpaf(base={base})")(own, own, context=context(w))

    def test_the_other_network_is_one_for_all_rounds_and_another_for_another_seed(self):
        federation = Federation(run_under("mpaf(scale=1)"))
        targets = []
        for number in range(2):
            w = federation.params.clone()
            targets.append(w - sent(federation, number)[0])
        torch.testing.assert_close(targets[0], targets[1])
        assert not torch.equal(targets[0], federation.attacker.initial)
        other = Federation(run_under("mpaf(scale=1)", seed=1))
        assert not torch.allclose(other.params - sent(other, 0)[0], targets[0])

    def test_what_would_overflow_is_cut(self):
        own, w = torch.ones(1, 2), torch.tensor([1e20, -1e20])
        row = att.make("mpaf(scale=1e30,base=initial)")(own, own, context=context(w, initial=torch.zeros(2)))
        assert row.tolist() == [[torch.finfo(torch.float32).max, -torch.finfo(torch.float32).max]]
        metrics = Federation(run_under("mpaf(scale=1e30)")).round(0)
        assert (metrics["attack"]["called"], metrics["rejected"]) == (True, 0)


def played(models, d=None, seed=0, name="poisonedfl", rate=1.0):
    """The attack after it has seen these models, one a round."""
    attack = att.make(name)
    attack.begin(seed)
    for number, model in enumerate(models):
        round = Round(number=number, params=model, rate=rate)
        attack.observe(torch.empty(0, d or len(model)), clients=[], round=round)
    return attack


def signs(d, seed=0):
    return 2 * torch.randint(2, (d,), generator=generator(seed, "poisonedfl")).double() - 1


class TestPoisonedFL:
    def test_a_model_that_steps_in_place(self):
        """It remembers the models as they were."""
        first, second = torch.zeros(4), torch.tensor([1.0, 2.0, 3.0, 4.0])
        wanted, attack, model = played([first, second]), att.PoisonedFL(), first.clone()
        for number in range(2):
            attack.observe(torch.empty(0, 4), clients=[], round=Round(number=number, params=model))
            model.copy_(second)
        assert wanted._state["row"].any()
        torch.testing.assert_close(attack._state["row"], wanted._state["row"])

    def test_by_hand(self, monkeypatch):
        """a = (3, 4), r = (0, 5), s = (1, -1): 40 (3, -1) / sqrt(10) = (37.95, -12.65)."""
        attack = att.PoisonedFL()
        monkeypatch.setattr(att.PoisonedFL, "_signs", lambda self, d: torch.tensor([1.0, -1.0], dtype=torch.float64))
        row = attack._next(torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([0.0, 5.0]))
        torch.testing.assert_close(row, torch.tensor([37.947332, -12.649111]))
        zero = torch.zeros(2, dtype=torch.float64)
        assert attack._next(zero, torch.tensor([0.0, 5.0])).tolist() == [0, 0]  # |a| = 0
        assert attack._next(torch.tensor([0.0, 2.0]).double(), torch.tensor([0.0, 5.0])).tolist() == [0, 0]  # v = 0
        along = attack._next(torch.tensor([0.1, 0.7]).double(), torch.tensor([0.3, 2.1]))  # v = 0 but for rounding
        assert along.tolist() == [0, 0]
        first = attack._next(torch.tensor([3.0, 4.0]).double(), torch.zeros(2))  # v = |a|
        torch.testing.assert_close(first, torch.tensor([24.0, -32.0]))

    @example(d=1, seed=0, every=1, shrink=0.7, along=0, c=8.0, floor=0.5, p=0.01)
    @given(
        d=st.integers(1, 9),
        seed=st.integers(0, 2**16),
        every=st.integers(1, 4),
        shrink=st.sampled_from([0.7, 0.5, 1.0]),
        along=st.sampled_from([-1, 0, 1]),
        c=st.sampled_from([8.0, 3.0]),
        floor=st.sampled_from([0.5, 2.0, 0.0]),
        p=st.sampled_from([0.01, 0.4, 0.9]),
    )
    def test_many_rounds_agree_with_the_oracle(self, d, seed, every, shrink, along, c, floor, p):
        """The model moves at random, along s or against it, and now and then stays in some coordinates."""
        draw, s = np.random.default_rng(seed), signs(d, seed).numpy()
        expected = oracle_attacks.PoisonedFLOracle(s, c=c, every=every, shrink=shrink, floor=floor, p=p)
        attack = att.make(f"poisonedfl(c={c},every={every},shrink={shrink},floor={floor},p={p})")
        attack.begin(seed)
        model = draw.standard_normal(d).astype(np.float32)
        for number in range(10):
            attack.observe(torch.empty(0, d), round=Round(number=number, params=torch.from_numpy(model.copy())))
            wanted = expected.see(model)
            forgery = attack.explain(torch.empty(0, d), torch.zeros(3, d))
            assert forgery.notes["c"] == pytest.approx(expected.c)
            assert torch.equal(forgery.rows, forgery.rows[:1].expand(3, -1))
            np.testing.assert_allclose(
                forgery.rows[0].numpy(), wanted, rtol=1e-3, atol=1e-4 * max(1e-30, float(np.abs(wanted).max()))
            )
            expected.row = forgery.rows[0].double().numpy()  # float32 rounding does not add up
            moved = (draw.random(d) < 0.9) * (draw.standard_normal(d) - along * s)
            model = (model + 0.1 * moved).astype(np.float32)

    @pytest.mark.parametrize(("d", "least"), [(1204682, 603618), (139960, 70415), (717924, 359948), (145212, 73049)])
    def test_the_bound_is_that_of_the_authors_script(self, d, least):
        """Their four constants are d/2 + 2.3263 sqrt(d)/2, to the nearest whole number."""
        attack = att.PoisonedFL()
        s = attack._signs(d)

        def follows(count):
            change = torch.where(torch.arange(d) < count, s, -s)
            return attack._follows(change, torch.zeros(d))

        assert follows(least + 1)
        assert not follows(least - 1)

    def test_it_never_falls_below_the_floor(self):
        attack = played([torch.full((50,), float(i % 2)) for i in range(30)], name="poisonedfl(every=2)")
        assert 0.5 <= attack.strength < 0.5 / 0.7
        assert played([torch.zeros(50)] * 9).strength == 8

    def test_what_it_remembers_is_kept_and_a_strange_state_is_refused(self):
        models = [torch.randn(6, generator=torch.Generator().manual_seed(i)) for i in range(7)]
        attack, again = played(models[:4], name="poisonedfl(every=2)"), att.make("poisonedfl(every=2)")
        state = attack.state_dict()
        assert again.is_valid_state(state, 6)
        again.load_state_dict(state)
        for number in (4, 5, 6):
            for each in (attack, again):
                each.observe(torch.empty(0, 6), round=Round(number=number, params=models[number]))
            assert torch.equal(attack(torch.empty(0, 6), models[0][None]), again(torch.empty(0, 6), models[0][None]))
        assert again.is_valid_state({}, 6)
        assert again.is_valid_state({"seed": 3}, 6)
        for name in ("row", "kept", "since"):
            assert not again.is_valid_state({key: value for key, value in state.items() if key != name}, 6)
        assert not again.is_valid_state({**state, "row": torch.zeros(7)}, 6)
        assert not again.is_valid_state({**state, "x": 1}, 6)

    def test_a_model_that_has_overflowed_gives_zeros(self):
        attack = played([torch.zeros(3), torch.tensor([math.inf, 0.0, 0.0])])
        assert attack(torch.empty(0, 3), torch.zeros(1, 3)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("name", BLIND)
def test_the_rows_are_the_same_whatever_the_attacker_knows(name):
    """In the first round: later the models differ, if the rule sees other rows. It is called where none is known."""
    rows = []
    for change in ({}, {"knowledge": 0.5}, {"knowledge": 0.0}, {"known": "own"}):
        federation = Federation(run_under(name, aggregator=aggregators.make("mean"), **change))
        for number in range(3):
            assert federation.round(number)["attack"]["called"] is True
        rows.append(federation.params.clone())
    assert all(torch.equal(other, rows[0]) for other in rows[1:])


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("gaussian(sigma=1e300)", "sigma"),
        ("gaussian(mu=-1e300)", "mu"),
        ("gaussian(sigma=mean)", "sigma"),
        ("gaussian(sigma=-1)", "sigma"),
        ("gaussian(same=1)", "same"),
        ("bitflip(scale=1e31)", "scale"),
        ("mpaf(scale=1e300)", "scale"),
        ("replay(noise=1e300)", "noise"),
        ("lie(z=1e300)", "z"),
        ("ipm(epsilon=1e300)", "epsilon"),
        ("strike(nu=1e300)", "nu"),
        ("byzmean(z=1e300)", "z"),
        ("rop(z=1e300)", "z"),
        ("rop(angle=720)", "angle"),
        ("poisonedfl(c=1e300)", "c"),
        ("poisonedfl(floor=1e300)", "floor"),
        ("fang(threshold=1e300)", "threshold"),
        ("poisonedfl(every=0)", "every"),
        ("poisonedfl(p=1)", "p"),
        ("nonfinite(value=0)", "value"),
        ("zero(what=own)", "what"),
        ("labelflip(scale=1e300)", "scale"),
    ],
)
def test_a_strength_that_overflows_is_one_line(name, option):
    with pytest.raises(InputError) as caught:
        att.make(name)
    assert str(caught.value).startswith(f"{name.split('(')[0]}: {option} must be")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labelflip(target=3)", "target belongs to map = pair or all"),
        ("labelflip(map=all,of=3)", "of belongs to map = pair"),
        ("fang(target=krum,b=10)", "b has no effect with target = krum"),
        ("fang(target=krum,space=model)", "space has no effect with target = krum"),
        ("fang(target=trim,search=largest)", "search has no effect with target = trim"),
        ("fang(target=trim,epsilon=0.1)", "epsilon has no effect with target = trim"),
        ("fang(target=trim,knowledge=partial,b=1000)", "b and space belong to knowledge = full"),
        ("fang(target=trim,knowledge=partial,space=model)", "b and space belong to knowledge = full"),
        ("mimic(variant=index,warmup=3)", "warmup belongs to variant = paper"),
    ],
)
def test_an_option_without_effect_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        att.make(name)


@pytest.mark.parametrize("name", ["replay", "mpaf", "poisonedfl", "zero(what=model)", "fang(space=model)"])
def test_a_matrix_has_no_models(name):
    rows = make_rows(12, 5, 0, "gauss", seed=4)
    with pytest.raises(InputError, match="needs the models of the rounds, which a matrix has not"):
        gs.skew.examine(rows, [name], ["median"], 3, replace=True)


def test_what_is_not_finite_leaves_nothing_to_examine():
    with pytest.raises(InputError, match="rows that are taken out before a rule"):
        gs.skew.examine(make_rows(12, 5, 0, "gauss", seed=4), ["nonfinite"], ["median"], 3)
