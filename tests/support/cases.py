"""The cases of rules and attacks, hard inputs, and the tolerance, for the tests of both.

A vector agrees with the oracle, per coordinate, within TOLERANCE["spread"] of the spread of the rows used, plus one
unit in the last place of float32 at the rows used, plus TOLERANCE["relative"] of the exact value. A selection is right
if every score inside is at most 1 + TOLERANCE["score"] times every score outside, both in float64. Weighted sums use
the stricter weighted forms: the mean distance from the result, and the weighted mean magnitude.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from hypothesis import strategies as st

from gradskew import aggregators as agg
from gradskew import attacks as att
from gradskew.core.round import Layer, Round

TOLERANCE = {"spread": 1e-4, "ulp": 2.0**-23, "relative": 1e-5, "score": 1e-5}


def assert_close(value, exact, spread, magnitude):
    """Assert that vectors agree within the tolerance, per coordinate."""
    value, exact = np.asarray(value, dtype=np.float64), np.asarray(exact)
    slack = TOLERANCE["spread"] * spread + TOLERANCE["ulp"] * magnitude + TOLERANCE["relative"] * np.abs(exact)
    excess = np.abs(value - exact) - slack
    worst = int(excess.argmax())
    assert excess[worst] <= 0, f"coordinate {worst}: {value[worst]} instead of {exact[worst]}"


def assert_weighted(value, weights, rows):
    """Assert that `value` is the weighted sum of the rows."""
    weights, rows = np.asarray(weights, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    exact = (weights[:, None] * rows).sum(axis=0)
    share = np.abs(weights)[:, None]
    assert_close(value, exact, (share * np.abs(rows - exact)).sum(axis=0), (share * np.abs(rows)).sum(axis=0))


def assert_lowest(scores, inside, noise=0.0):
    """Assert that no score inside exceeds one outside. noise: the oracle's float64 error in a root of a score."""
    scores, inside = np.asarray(scores), np.asarray(inside)
    if not inside.any() or inside.all():
        return
    worst, best = scores[inside].max(), scores[~inside].min()
    slack = TOLERANCE["score"] * abs(best) + 2 * noise * math.sqrt(abs(best)) + noise**2
    assert worst <= best + slack, f"a score of {worst} was selected before one of {best}"


@dataclass(frozen=True)
class RuleCase:
    """A rule and what it claims.

    permutation: the order of rows does not matter. translation, scale: f(x + c) = f(x) + c, f(c x) = c f(x) for c > 0.
    odd: f(-x) = -f(x). rotation: f(x Q) = f(x) Q for orthogonal Q. A reference and a model move along.
    fixed: identical rows give that row. hull: never outside all rows' range. honest: per coordinate within the honest
    rows' range, whatever the others send. far: equal rows of 1e30 leave it within the honest range. largest: rows of
    the largest entries give a finite aggregate; one that is as long as a row, along one axis, is not. most: rows at
    most, for a search that grows with their number.
    """

    name: str
    permutation: bool = True
    translation: bool = True
    scale: bool = True
    fixed: bool = True
    hull: bool = True
    honest: bool = False
    far: bool = False
    odd: bool = True
    rotation: bool = False
    largest: bool = True
    most: int = 60

    @property
    def rule(self):
        return self.moved(1.0)

    def moved(self, factor):
        """Return the rule; what a server knows is multiplied by a factor or by a matrix (d, d)."""
        rule = agg.make(self.name)
        return Informed(rule=rule, factor=factor) if rule.needs else rule


@dataclass(frozen=True, kw_only=True)
class Informed(agg.Aggregator):
    """A rule that is given a round in every call: the same one for rows of one shape."""

    rule: agg.Aggregator
    factor: object = field(default=1.0, repr=False, compare=False)

    @property
    def name(self):
        return self.rule.name

    @property
    def monotone(self):
        return self.rule.monotone

    def outcome(self, rows, f, generator):
        rows.round = known(rows.n, rows.d, rows.updates.dtype, self.factor)
        return self.rule.outcome(rows, f, generator)

    def max_f(self, n):
        return self.rule.max_f(n)


def known(n, d, dtype=torch.float32, factor=1.0):
    """Return a round of n clients, of a model with two weight tensors and a bias; the output layer has 8 columns."""
    cuts = [max(0, d - 8), max(1, d - 1), d]
    shapes = {"first": (1, cuts[0]), "output": (1, cuts[1] - cuts[0]), "bias": (d - cuts[1],)}
    starts = [0, *cuts[:-1]]
    layers = {name: Layer(slice(a, b), shapes[name]) for name, a, b in zip(shapes, starts, cuts, strict=True)}
    own = reference(d).to(dtype)
    params = own.flip(0)
    own, params = (each * factor if isinstance(factor, float) else each @ factor.to(dtype) for each in (own, params))
    return Round(
        clients=range(n),
        examples=1 + torch.arange(n) % 3,
        params=params,
        layers={name: layer for name, layer in layers.items() if layer.columns.stop > layer.columns.start},
        reference=own,
        losses=lambda models, clients: distances(models, [own.double() * (client % 3 - 1) for client in clients]),
    )


def distances(models, targets):
    """Return the squared distances of models (k, d) from n targets (d,): (k, n), what clients say they lose."""
    return torch.stack([(models.double() - target).square().sum(1) for target in targets], 1)


def reference(d):
    """Return the server's own update (d,): entries of both signs and different sizes."""
    return torch.linspace(-1.0, 2.0, d) if d > 1 else torch.ones(1)


RULES = [
    RuleCase("mean", rotation=True),
    RuleCase("multikrum", far=True, rotation=True),
    RuleCase("multikrum(m=1)", far=True, rotation=True),
    RuleCase("multikrum(neighbours=n-f-1)", far=True, rotation=True),
    RuleCase("median", honest=True, far=True),
    RuleCase("median(middle=lower)", honest=True, far=True, odd=False),
    RuleCase("median(middle=upper)", honest=True, far=True, odd=False),
    RuleCase("rbtm", honest=True, far=True),
    RuleCase("rfa", rotation=True),
    RuleCase("rfa(start=zero,steps=3,nu=0.1)", translation=False, scale=False, rotation=True),
    RuleCase("aksel", far=True),
    RuleCase("aksel(middle=upper,select=n-f)", far=True, odd=False),
    RuleCase("cclip", translation=False, scale=False, fixed=False, hull=False, rotation=True),
    RuleCase("cclip(tau=0.5,steps=3)", translation=False, scale=False, fixed=False, hull=False, rotation=True),
    RuleCase("dnc", far=True),
    RuleCase("dnc(b=4,c=1.5,iterations=2)", far=True),
    RuleCase("dnc(b=4,replacement=True)", far=True),
    RuleCase("dnc(b=None)", far=True, rotation=True),
    RuleCase("consensus", translation=False, hull=False, rotation=True, largest=False),
    RuleCase("consensus(power=2,ridge=0.5,steps=2)", translation=False, hull=False, rotation=True, largest=False),
    RuleCase("vote", translation=False, fixed=False, hull=False, rotation=True, largest=False),
    RuleCase("vote(a=median,b=rbtm,stay=False)", translation=False, honest=True, far=True),
    RuleCase("ptm", translation=False, hull=False, rotation=True),
    RuleCase("average", translation=False, hull=False),
    RuleCase("average(a=median,b=rbtm)", honest=True, far=True),
    RuleCase("average(a=monna(pivot=reference),b=cge)", translation=False, far=True, rotation=True),
    RuleCase("fltrust", translation=False, fixed=False, hull=False, rotation=True),
    RuleCase("fltrust(none_trusted=uniform)", translation=False, fixed=False, hull=False, rotation=True),
    RuleCase("nnm+fltrust", translation=False, fixed=False, hull=False, rotation=True),
    RuleCase("meamed", far=True),
    RuleCase("meamed(middle=upper)", far=True, odd=False),
    RuleCase("meamed(centre=trimmed)", far=True),
    RuleCase("cge", translation=False, far=True, rotation=True),
    RuleCase("mda", permutation=False, far=True, rotation=True),
    RuleCase("mda(ties=spread)", far=True, most=12, rotation=True),
    RuleCase("monna", permutation=False, far=True, rotation=True),
    RuleCase("monna(pivot=0)", permutation=False, rotation=True),
    RuleCase("monna(pivot=reference)", translation=False, far=True, rotation=True),
    RuleCase("caf", far=True, rotation=True),
    RuleCase("smea", far=True, most=12, rotation=True),
    RuleCase("smea(search=greedy)", far=True, rotation=True),
    RuleCase("bulyan", permutation=False, honest=True, far=True),
    RuleCase("bulyan(select=once)", honest=True, far=True),
    RuleCase("bulyan(select=once,middle=upper)", honest=True, far=True, odd=False),
    RuleCase("signguard", permutation=False, translation=False, fixed=False, hull=False),
    RuleCase("signguard(share=1)", translation=False, fixed=False, hull=False),
    RuleCase("signguard(share=1,cluster=kmeans,draw=random)", translation=False, hull=False),
    RuleCase("signguard(share=0.3,draw=random)", permutation=False, translation=False, fixed=False, hull=False),
    RuleCase("flame(noise=0)", translation=False, hull=False, rotation=True),
    RuleCase("flame(of=updates,noise=0)", translation=False, hull=False, rotation=True),
    RuleCase("foolsgold", translation=False, fixed=False, hull=False, rotation=True),
    RuleCase("foolsgold(features=output,scale=n)", translation=False, fixed=False, hull=False),
    RuleCase("lasa", translation=False, hull=False),
    RuleCase("lasa(average=sparse)", translation=False, fixed=False, hull=False),
    RuleCase("lasa(lambda_n=2,lambda_s=0.7)", translation=False, hull=False),
    RuleCase("gas", permutation=True, far=True),
    RuleCase("gas(base=median,p=30)", far=True),
    RuleCase("clippedclustering", translation=False, scale=False, hull=False, rotation=True),
    RuleCase("clippedclustering(agg=median,linkage=single)", translation=False, scale=False, hull=False),
    RuleCase("clippedclustering(tau=1)", translation=False, scale=False, fixed=False, hull=False, rotation=True),
    RuleCase("rlr", translation=False, hull=False),
    RuleCase("rlr(vote=True)", translation=False, fixed=False, hull=False),
    RuleCase("fedseca", translation=False, fixed=False, hull=False),
    RuleCase("alignins", translation=False, hull=False),
    RuleCase("alignins(lambda_s=2,lambda_c=0.7)", translation=False, hull=False),
    RuleCase("keep+median", far=True),
    RuleCase("keep(rule=aksel)+meamed", far=True),
    RuleCase("foundation+rbtm"),
    RuleCase("foundation(m=1)+median"),
    RuleCase("multikrum(select=one-by-one)", permutation=False, far=True, rotation=True),
    RuleCase("rfa(start=median,steps=30,tol=1e-6)", scale=False),
    RuleCase("cclip(start=mean,tau=1)", scale=False, rotation=True),
    RuleCase("cclip(start=median,tau=1,steps=2)", scale=False),
    RuleCase(
        "cclip(centre=reference,tau=1,steps=2)", translation=False, scale=False, fixed=False, hull=False, rotation=True
    ),
    RuleCase("cclip(centre=reference,tau=least)", translation=False, hull=False, rotation=True),
    RuleCase("rbtm(share=0.2)"),
    RuleCase("rbtm(tails=clamp)", honest=True, far=True),
    RuleCase("mean(weights=examples)", permutation=False, rotation=True),
    RuleCase("rfa(shares=examples)", permutation=False, rotation=True),
    RuleCase("bucketing(shuffle=False)+median", permutation=False),
    RuleCase("clipping+mean", translation=False, scale=False, fixed=False, hull=False, rotation=True),
    RuleCase("clipping(c=median)+multikrum", translation=False, hull=False, rotation=True),
    RuleCase("clipping(c=mean)+median", translation=False, hull=False),
    RuleCase("clipping(c=median)+dnc(b=None)", translation=False, hull=False, rotation=True),
    RuleCase(
        "clipping(c=median)+average(a=consensus,b=dnc(b=None))",
        translation=False,
        hull=False,
        rotation=True,
        largest=False,
    ),
    RuleCase("arc+rbtm", translation=False, hull=False),
    RuleCase("arc+multikrum", translation=False, hull=False, rotation=True),
    RuleCase("nnm+arc+rfa", translation=False, hull=False, rotation=True),
    RuleCase(
        "bucketing+clipping(c=1)+caf",
        permutation=False,
        translation=False,
        scale=False,
        fixed=False,
        hull=False,
        rotation=True,
    ),
    RuleCase("nnm+meamed", far=True),
    RuleCase("nnm+mean", rotation=True),
    RuleCase("nnm+multikrum", far=True, rotation=True),
    RuleCase("nnm+median", far=True),
    RuleCase("nnm(itself=False)+rbtm"),  # n - f other rows: one that is far is among them
    RuleCase("nnm+rfa", rotation=True),
    RuleCase("nnm+aksel", far=True),
    RuleCase("nnm+cclip", translation=False, scale=False, fixed=False, hull=False, rotation=True),
    RuleCase("bucketing+multikrum", permutation=False, rotation=True),
    RuleCase("bucketing(s=3)+median", permutation=False),
    RuleCase("bucketing+rfa", permutation=False, rotation=True),
    RuleCase("bucketing(told_f=f/s)+rbtm", permutation=False),
    RuleCase("bucketing+nnm+multikrum", permutation=False, rotation=True),
    RuleCase("nnm+bucketing+dnc", permutation=False),
]


@dataclass(frozen=True)
class AttackCase:
    """An attack and what it claims: equal: all Byzantine clients send one row; the rest as in `RuleCase`.

    Permutation is that of the honest rows (with their ids). masks: it commutes with taking some columns. finite: so are
    its rows. blind: it does not read honest rows, even where there are some. rule: the server's, for an attack that
    tries it out.
    """

    name: str
    equal: bool = True
    permutation: bool = True
    translation: bool = True
    scale: bool = True
    rotation: bool = False
    masks: bool = False
    finite: bool = True
    blind: bool = False
    rule: str = "median"

    @property
    def attack(self):
        attack = att.make(self.name)
        told = attack.tries_rule or attack.key in ("mpaf", "replay", "rop")
        return Trying(attack=attack, rule=agg.make(self.rule)) if told else attack


@dataclass(frozen=True, kw_only=True)
class Trying(att.Attack):
    """An attack that is given a rule to try out, and models, in every call."""

    attack: att.Attack
    rule: agg.Aggregator

    @property
    def name(self):
        return self.attack.name

    @property
    def needs(self):
        return self.attack.needs

    def forge(self, view):
        context = context_of(self.rule, view.honest.n, view.f, view.n, view.honest.d)
        before = reference(view.honest.d)
        context = replace(context, previous=before, initial=-before, network=lambda: before)
        return self.attack.explain(view.honest, view.own, n=view.n, generator=view.generator, context=context)


def context_of(rule, h, f, n=None, d=1):
    """Return the context of a call with h honest rows of length d in a round of n rows, f of them Byzantine."""
    n = h + f if n is None else n
    return att.Context(round=0, params=torch.zeros(d), rule=rule, clients=range(f, f + h), f=min(f, rule.max_f(n)))


ATTACKS = [
    AttackCase("none", equal=False, blind=True, rotation=True, masks=True),
    AttackCase("bitflip", equal=False, translation=False, blind=True, rotation=True, masks=True),
    AttackCase("bitflip(scale=0.3)", equal=False, translation=False, blind=True, rotation=True, masks=True),
    AttackCase("bitflip(of=mean,scale=None)", translation=False, rotation=True, masks=True),
    AttackCase("gaussian", equal=False, translation=False, scale=False, blind=True),
    AttackCase("gaussian(mu=3,sigma=0.5,same=True)", translation=False, scale=False, blind=True),
    AttackCase("gaussian(around=own,same=True)", equal=False, scale=False, blind=True),
    AttackCase("gaussian(sigma=std,around=mean)", equal=False),
    AttackCase("nonfinite", finite=False, blind=True, masks=True),
    AttackCase("nonfinite(value=-inf)", finite=False, blind=True, masks=True),
    AttackCase("zero", translation=False, blind=True, rotation=True, masks=True),
    AttackCase("replay", translation=False, scale=False, blind=True),
    AttackCase("replay(noise=0.1)", equal=False, translation=False, scale=False, blind=True),
    AttackCase("mpaf", translation=False, scale=False, blind=True),
    AttackCase("mpaf(scale=10,base=initial)", translation=False, scale=False, blind=True),
    AttackCase("poisonedfl", translation=False, blind=True),  # before it has seen two models its row is 0
    AttackCase("labelflip", equal=False, blind=True, rotation=True, masks=True),
    AttackCase("labelflip(scale=2)", equal=False, translation=False, blind=True, rotation=True, masks=True),
    AttackCase("lie", masks=True),
    AttackCase("lie(z=None)", masks=True),
    AttackCase("lie(z=byzpy,ddof=1)", masks=True),
    AttackCase("lie(sign=-1)", masks=True),
    AttackCase("ipm", translation=False, rotation=True, masks=True),
    AttackCase("minmax"),
    AttackCase("minmax(p=unit)", translation=False, rotation=True),
    AttackCase("minmax(p=sign)", translation=False),
    AttackCase("minsum"),
    AttackCase("minsum(p=unit,bound=smallest)", translation=False, rotation=True),
    AttackCase("minsum(p=sign)", translation=False),
    AttackCase("mimic"),
    AttackCase("mimic(variant=strike-authors)", translation=False),
    AttackCase("mimic(variant=index,index=2)", permutation=False),
    AttackCase("byzmean", equal=False, masks=True),
    AttackCase("byzmean(z=None,sign=-1)", equal=False, masks=True),
    AttackCase("rop", translation=False, scale=False),
    AttackCase("rop(lam=0.5,pi=0.3,angle=200,z=2)", translation=False, scale=False),
    AttackCase("rop(z=tau)", rule="nnm+cclip(tau=0.5)", translation=False, scale=False),
    AttackCase("fang", equal=False, translation=False),
    AttackCase("fang(direction=mean,b=10)", rule="rbtm", equal=False, translation=False),
    AttackCase("fang(direction=mean,draw=end)", equal=False, translation=False, masks=True),
    AttackCase("fang(target=trim,knowledge=partial,draw=end)", equal=False, translation=False, blind=True, masks=True),
    AttackCase("fang(space=model,draw=end)", equal=False, translation=False, masks=True),
    AttackCase("fang(target=trim,knowledge=partial)", equal=False, translation=False, blind=True),
    AttackCase("fang(target=krum,knowledge=partial)", equal=False, translation=False, scale=False, blind=True),
    *(
        AttackCase(name, rule=rule, equal=False, translation=False)
        for rule in ("multikrum(m=1)", "nnm+multikrum")
        for name in ("fang", "fang(search=largest)")
    ),
    AttackCase("fang(accept=all,search=largest)", rule="multikrum", equal=False, translation=False),
    AttackCase("fang(epsilon=0.01)", rule="multikrum", equal=False, translation=False, scale=False),
    AttackCase("strike"),
    AttackCase("strike(nu=0.5,middle=upper,max_alpha=0.7)"),
    *(AttackCase("extreme", rule=rule, masks=True) for rule in ("median", "rbtm")),
    AttackCase("extreme", rule="mean"),
    AttackCase("extreme(objective=progress)", translation=False),
    *(AttackCase("opt", rule=rule) for rule in ("median", "rbtm", "mean", "multikrum", "nnm+multikrum", "dnc", "caf")),
    AttackCase("opt(p=skew,search=epfl)", rule="rfa(nu=1e-30)"),
    AttackCase("opt(p=ones,sides=minus,cap=3)", rule="nnm+rbtm"),
    AttackCase("opt(objective=progress,p=sign)", rule="multikrum", translation=False),
    AttackCase("optipm", rule="multikrum(m=1)", translation=False),
    AttackCase("opt(p=unit,tries=50)", rule="mda", translation=False),
    AttackCase("agr", rule="multikrum"),
    AttackCase("opt(search=byzfl)", rule="multikrum"),
]


def without_data(name):
    """Return an attack that needs neither images nor another network, for a server that has rows and models alone."""
    return {"adaptive": "adaptive(aim=stop)", "mpaf": "mpaf(scale=0.1,base=initial)"}.get(name, name)


def ids(case):
    other = isinstance(case, AttackCase) and case.rule != "median"
    return f"{case.name} on {case.rule}" if other else case.name


KINDS = ["gauss", "heavy", "duplicates", "one 1e6", "one 1e30", "f 1e6", "f 1e30", "offset", "identical", "sparse"]
HARDEST = ["duplicates", "f 1e30", "offset"]  # ties, overflow and cancellation: for what is made of rules


def kinds_of(name):
    """Return all kinds of rows for a rule, the hardest for a pipeline: its parts are tested on all."""
    return HARDEST if "+" in name else KINDS


def make_rows(n, d, f, kind, seed):
    """Return an (n, d) float32 matrix of a kind that is hard for float32 or for ties."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((n, d)) + draw.standard_normal(d)
    many = 1 if kind.startswith("one") else f
    if kind == "heavy":
        rows = draw.standard_t(1.1, (n, d)).clip(-1e8, 1e8)
    elif kind == "duplicates":
        rows = rows[draw.integers(max(1, n // 3), size=n)]
    elif kind.endswith(("1e6", "1e30")):
        rows[draw.permutation(n)[:many]] *= float(kind.split()[1])
    elif kind == "offset":
        rows = 1 + 1e-4 * rows
    elif kind == "identical":
        rows[:] = rows[0]
    elif kind == "sparse":
        rows[draw.random((n, d)) < 0.7] = 0
    return torch.from_numpy(rows.astype(np.float32))


@st.composite
def inputs(draw, bound, least_n=3, least_f=0, most_n=60):
    """Draw rows (n, d) and f, with n from 3 to 60 and f up to bound(n)."""
    n = draw(st.integers(least_n, most_n))
    f = draw(st.integers(least_f, max(least_f, bound(n))))
    d = draw(st.one_of(st.integers(1, 8), st.integers(9, 300)))
    return make_rows(n, d, f, draw(st.sampled_from(KINDS)), draw(st.integers(0, 2**32 - 1))), f


def rows_of(*rows):
    """Return a float32 matrix from its rows; a number is a row of one column."""
    return torch.tensor([row if isinstance(row, (tuple, list)) else (row,) for row in rows], dtype=torch.float32)
