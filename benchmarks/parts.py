"""The parts of `robustness.py`: which attacks against which rules, in which federations, on which seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gradskew import aggregators, attacks
from gradskew.attacks import Adaptive, Attack, make
from gradskew.core.errors import InputError
from gradskew.runs.listed import split_names
from named import AgainstConsensusDnC

ALONE = split_names("paper,cclip(tau=0.5),all", "rules")  # every rule that needs nothing more
LIMIT = 60  # tries of a search in a round, where each is a call of the rule, unless a part says otherwise
SEEDS = "10,11,12,13,14"  # no choice was made on them
FEWER = "10,11,12"
FASHION = "fashion_mnist(train_size=10000)"
PAPER = [*aggregators.PAPER, "nnm+multikrum"]
TWELVE = [*PAPER, "cclip(tau=0.5)", "nnm+rbtm", "bucketing+median"]
SIX = ["mean", "multikrum", "median", "rbtm", "nnm+multikrum", "nnm+rbtm"]
SEARCHES = [attack for attack in map(make, attacks.WORST) if isinstance(attack, Adaptive)]
CAPPED = [replace(attack, cap=cap) for cap in (3.0, 1.0) for attack in SEARCHES]
STRONGEST = [make(name) for name in ("none", "bitflip", "ipm", "strike")]
STRONGEST += [attack for attack in SEARCHES if attack.aim.startswith("loss+stop")]

STANDS = ["consensus_dnc", "clipping(c=median)+consensus", "clipping(c=median)+dnc(b=None)", "ptm"]
AIMS = ("loss", "loss+stop", "loss+stop+undo")
FULL = [Adaptive(aim=aim, effort="full", cap=None) for aim in AIMS]
VARIANTS = [  # of consensus_dnc, as rules behind the same clipping
    "average(a=consensus,b=average(a=dnc(b=None),b=ptm))",
    "average(a=average(a=consensus,b=dnc(b=None)),b=median)",
    "average(a=consensus(ridge=8),b=dnc(b=None))",
    "average(a=consensus(power=2),b=dnc(b=None))",
    "average(a=consensus,b=dnc(b=None,c=2))",
]
TRIED = [*map(make, attacks.PAPER), *FULL]
AIMED = [make("none"), *(Adaptive(aim=aim, cap=None) for aim in AIMS)]
HEAVIEST = [AIMED[0], *AIMED[2:]]
SETTINGS = [
    {"beta": 0.3},
    {"partition": "iid"},
    {"beta": 0.5, "byzantine": 5},
    {"beta": 0.5, "byzantine": 15},
    {"beta": 0.5, "told": "15"},
    {"beta": 0.5, "clients": 200, "byzantine": 40, "sampled": 20},
]

FIELD = [make(name) for name in split_names("paper,all", "attacks") if name not in ("adaptive", "extreme")]
FEW = [make(name) for name in (*attacks.PAPER, "fang", "byzmean", "opt")]
MIXED = [f"nnm+{rule}" for rule in aggregators.PAPER]
GRADIENT = {"rows": "gradient", "local_steps": 1, "lr": 0.5, "rounds": 200}  # DSGD
EQUAL = {"momentum": 0.0, "lr": 0.5, "local_steps": 4}  # what SCAFFOLD is defined for
TRAININGS = [
    {"worker_momentum": 0.9},
    {"local": "fedprox(mu=1)"},
    GRADIENT,
    {**GRADIENT, "worker_momentum": 0.9},
    EQUAL,
    {**EQUAL, "local": "scaffold"},
    {**EQUAL, "local": "scaffold(control=sent)"},
]
SKEWS = [{"beta": 0.1}, {"beta": 0.5}, {"partition": "iid"}]


def every_rule() -> list[str]:
    """Return every rule that needs nothing more, alone and behind mixings, those with fast searches first."""
    names = [f"{mixing}{rule}" for mixing in ("", "nnm+", "bucketing+", "arc+") for rule in ALONE]
    return sorted(names, key=lambda name: is_slow(name))


def is_slow(name: str) -> bool:
    """Return whether each try of a search is a call of the rule; False for a pipeline that cannot be made."""
    try:
        return SEARCHES[0].calls(aggregators.make(name)) > 0
    except InputError:
        return False


@dataclass(frozen=True, kw_only=True)
class Part:
    """Attacks against rules in one federation or several. federations: options of `gs.bench` of each.

    limit: of the tries of a search in a round, where each is a call of the rule; None for no limit.
    """

    rules: Sequence[str]
    attacks: Sequence[Attack] = tuple(map(make, attacks.WORST))
    seeds: str = SEEDS
    federations: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [{}])
    limit: int | None = LIMIT

    def benches(self, rules: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the options of a bench for each federation and rule."""
        for federation in self.federations:
            for rule in rules:
                limited = [
                    replace(a, limit=self.limit) if isinstance(a, Adaptive) and a.limit is None else a
                    for a in self.attacks
                ]
                yield {**federation, "rules": [rule], "attacks": limited if is_slow(rule) else [*self.attacks]}


PARTS = {
    "digits": Part(rules=every_rule(), federations=[{"beta": 0.5}, {"beta": 0.1}]),
    "caps": Part(rules=PAPER, attacks=CAPPED),
    "iid": Part(rules=PAPER, federations=[{"partition": "iid"}]),
    "root": Part(rules=["mean", "fltrust"], federations=[{"root_examples": 100}]),
    "fashion": Part(rules=TWELVE, seeds=FEWER, federations=[{"dataset": FASHION, "beta": 0.1}]),
    "cifar": Part(
        rules=SIX,
        attacks=STRONGEST,
        seeds=FEWER,
        federations=[{"dataset": "cifar10(train_size=10000,test_size=2000)", "beta": 0.5}],
    ),
    "trial": Part(
        rules=[*STANDS, *PAPER, "nnm+rbtm", "bucketing+median", "cclip(tau=0.5)"],
        attacks=TRIED,
        federations=[{"beta": 0.5}, {"beta": 0.1}],
    ),
    "trial-root": Part(
        rules=["fltrust", "cclip(centre=reference,tau=least)"],
        attacks=TRIED,
        federations=[{"beta": 0.5, "root_examples": 100}, {"beta": 0.1, "root_examples": 100}],
    ),
    "trial-root-fast": Part(  # added when a limit had become one of all parts of a search
        rules=["fltrust"], attacks=AIMED[1:], federations=[{"beta": 0.1, "root_examples": 100}]
    ),
    "trial-settings": Part(
        rules=["consensus_dnc", "median", "multikrum"],
        attacks=AIMED,
        federations=SETTINGS,
    ),
    "trial-full": Part(  # consensus_dnc, and later CAF, where they stood against fewer tries
        rules=["consensus_dnc"],
        attacks=[make("none"), *FULL[1:]],
        seeds=FEWER,
        federations=[
            {"beta": 0.3},
            {"beta": 0.5, "byzantine": 15},
            {"dataset": FASHION, "beta": 0.1},
            {"partition": "iid"},
            {"dataset": FASHION, "beta": 0.5},
            {"beta": 0.5, "byzantine": 5},
            {"beta": 0.5, "told": "15"},
        ],
        limit=None,
    ),
    "trial-caf": Part(  # a rule of others that stood against 60 tries a round
        rules=["caf"], attacks=FULL, federations=[{"beta": 0.5}], limit=None
    ),
    "trial-sampled": Part(  # a rule that takes f up to 9 of 20 rows
        rules=["clipping(c=median)+dnc(b=None)"],
        attacks=AIMED,
        federations=SETTINGS[-1:],
    ),
    "trial-fashion": Part(
        rules=["consensus_dnc", "median", "clipping(c=median)+dnc(b=None)", "multikrum"],
        attacks=HEAVIEST,
        seeds=FEWER,
        federations=[{"dataset": FASHION, "beta": beta} for beta in (0.5, 0.1)],
    ),
    "trial-cifar": Part(
        rules=["consensus_dnc", "median", "multikrum"],
        attacks=HEAVIEST,
        seeds="10,11",
        federations=[{"dataset": "cifar10(train_size=10000,test_size=2000)", "beta": 0.5}],
    ),
    "trial-named": Part(
        rules=["consensus_dnc"],
        attacks=[
            *(AgainstConsensusDnC(weight=weight) for weight in (1.0, 2.0, 4.0)),
            *(Adaptive(aim=aim, effort="full", cap=cap) for aim in AIMS for cap in (None, 3.0, 1.0)),
            *(Adaptive(aim=aim, effort="full", cap=None) for aim in ("stop", "undo", "stop+undo", "loss+undo")),
        ],
        federations=[{"beta": 0.5}],
    ),
    "trial-chosen": Part(  # which of trial-named left least on the seeds 15 to 17
        rules=["consensus_dnc"], attacks=[AgainstConsensusDnC(weight=2.0)], federations=[{"beta": 0.5}]
    ),
    "better": Part(
        rules=["consensus_dnc", *(f"clipping(c=median)+{rule}" for rule in VARIANTS)],
        attacks=[FULL[-1]],
        seeds="20,21,22,23,24",
        federations=[{"beta": 0.1}],
    ),
    "votes": Part(
        rules=["vote(a=clipping(c=median)+mean,b=consensus_dnc)", "consensus_dnc", "clipping(c=median)+mean"],
        attacks=[make("none"), make("strike"), *(Adaptive(aim=aim, cap=None, limit=100) for aim in AIMS)],
        seeds=FEWER,
        federations=[{"beta": beta, "votes": True} for beta in (0.1, 0.5)],
    ),
    "field": Part(rules=[*ALONE, *MIXED], attacks=FIELD, federations=SKEWS),
    "field-training": Part(
        rules=aggregators.PAPER,
        attacks=FIELD,
        federations=[
            *({**skew, **training} for skew in SKEWS[:2] for training in TRAININGS),
            *({**SKEWS[2], **training} for training in TRAININGS[:3]),
        ],
    ),
    "field-training-further": Part(
        rules=[rule for rule in ALONE if rule not in aggregators.PAPER],
        attacks=FIELD,
        federations=[{**skew, **training} for skew in SKEWS for training in TRAININGS[:3]],
    ),
    "field-fashion": Part(
        rules=PAPER,
        attacks=FEW,
        seeds=FEWER,
        federations=[{"dataset": FASHION, "beta": 0.1, "worker_momentum": beta} for beta in (0.0, 0.9)],
    ),
}
