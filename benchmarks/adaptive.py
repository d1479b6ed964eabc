"""Measure the attack that asks the rule: its cost, and what it finds against random rows.

    python benchmarks/adaptive.py [--tries 20000] [--rounds 20]

First three tables: processor seconds of the attack in a round of the default federation (digits), the same with
effort=full, and on Fashion-MNIST, over those of the rest of the round. Then seconds of a call by d, and how far it
moves the aggregate against the mean of the honest rows, over the best of many random tries (a tenth of them for rules
of which each try is a call): rows of random length, one for all or one for each Byzantine client, in directions drawn
from the span of the honest rows, their mean and their standard deviation.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gradskew import aggregators, attacks
from gradskew.aggregators import Aggregator
from gradskew.aggregators.informed import Informed
from gradskew.attacks import Context
from gradskew.attacks.candidates import Scene
from gradskew.attacks.queries import Queries
from gradskew.core.round import Round
from gradskew.core.rows import Rows
from gradskew.federation import Federation, Run
from gradskew.runs.settings import make_runs

RULES = ["mean", "multikrum", "rfa", "rfa(steps=50)", "cclip(tau=0.5)", "dnc", "median", "rbtm", "aksel"]
RULES += ["nnm+multikrum", "nnm+rfa", "nnm+rbtm", "bucketing+multikrum", "bucketing+median", "arc+multikrum"]
RULES += ["dnc(b=None)", "consensus", "ptm", "clipping(c=median)+dnc(b=None)", "consensus_dnc"]
SOME = ["multikrum", "rfa", "dnc", "median", "nnm+multikrum", "nnm+rbtm", "bucketing+median", "consensus_dnc"]
SLOW = ["meamed", "cge", "monna", "mda", "caf", "smea(search=greedy)", "bulyan", "signguard", "flame", "rlr"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, 1 thread, processor seconds\n")
    cost(arguments.rounds, [*RULES, *SLOW], Run())
    cost(arguments.rounds, SOME, Run(), effort="full")
    (fashion, *_) = make_runs({"dataset": "fashion_mnist(train_size=10000)"})
    cost(arguments.rounds, SOME, fashion)
    growth()
    found(arguments.tries)


def cost(rounds: int, rules: Sequence[str], run: Run, effort: str = "fast") -> None:
    print(f"{run.source.name}, effort={effort}\n")
    print("| rule | attack (ms) | rest of the round (ms) | ratio | tries |\n|---|---|---|---|---|")
    for name in rules:
        attack = attacks.make(f"adaptive(aim=loss+stop,cap=None,effort={effort})")
        federation = Federation(
            replace(run, attack=attack, aggregator=aggregators.make(name), clients=50, byzantine=10)
        )
        forge, spent = federation.attacker.forge, []

        def timed(*args: object, forge=forge, spent=spent) -> object:  # type: ignore[no-untyped-def]
            start = time.process_time()
            result = forge(*args)
            spent.append(time.process_time() - start)
            return result

        federation.attacker.forge = timed  # type: ignore[method-assign]
        totals, tries = [], 0
        for number in range(rounds if name not in SLOW else max(2, rounds // 10)):
            start = time.process_time()
            tries = federation.round(number)["attack"].get("tries", tries)
            totals.append(time.process_time() - start)
        own = statistics.median(spent[1:])
        rest = statistics.median(total - each for total, each in zip(totals[1:], spent[1:], strict=True))
        print(f"| {name} | {1e3 * own:.1f} | {1e3 * rest:.1f} | {own / rest:.1f} | {tries} |", flush=True)
    print()


def growth() -> None:
    print("| rule | 10^4 | 10^5 | 10^6 |\n|---|---|---|---|")
    for name in ("multikrum", "nnm+multikrum", "rbtm", "nnm+rbtm"):
        cells = []
        for d in (10**4, 10**5, 10**6):
            honest = rows(d)
            gram = seconds(lambda honest=honest: Rows(honest).gram)
            attack, context = attacks.make("adaptive(aim=stop,cap=None)"), context_of(name, d)
            spent = seconds(lambda a=attack, h=honest, c=context: a(h, h[:10].clone(), context=c))
            cells.append(f"{1e3 * spent:.0f} ms ({spent / gram:.1f} Gram matrices)")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print()


def found(tries: int) -> None:
    print("| rule | the search | best of the random tries | ratio |\n|---|---|---|---|")
    ratios = []
    for name in [*RULES, *SLOW]:
        federation = Federation(replace(Run(), clients=50, byzantine=10))
        for number in range(5):
            federation.round(number)
        honest = federation.matrix[10:, : federation.flat.d].clone()
        context = context_of(name, honest.shape[1])
        moved = attacks.make("adaptive(aim=stop,cap=None)").explain(honest, honest[:10].clone(), context=context)
        best = random_tries(honest, context.rule, tries // 10 if name in SLOW else tries, exact=name in SLOW)
        ratios.append(moved.notes["moved"] / best)
        print(f"| {name} | {moved.notes['moved']:.4g} | {best:.4g} | {ratios[-1]:.2f} |", flush=True)
    print(f"\nMedian of the ratios: {statistics.median(ratios):.2f}; the least: {min(ratios):.2f}.")


def random_tries(honest: Tensor, rule: Aggregator, tries: int, *, exact: bool) -> float:
    """Return the best of random tries. exact: on all columns, where a search compares its tries on some of them."""
    generator = torch.Generator().manual_seed(1)
    u = Rows(honest).mean(torch.float64)
    u /= torch.linalg.vector_norm(u)
    scene = Scene(Rows(honest), u, 50, 10, [], None, 0)
    queries = Queries(scene.span, rule, 10, 10, None if exact else generator)
    best = -float("inf")
    for _ in range(0, tries, 500):
        directions = torch.randn(500, 10, scene.span.size, generator=generator, dtype=torch.float64)
        directions[::2] = directions[::2, :1]  # one row for all
        directions[..., -1] = 0
        directions /= scene.span.norms(directions)[..., None]
        down = scene.unit(-scene.u)
        directions += torch.rand(500, 1, 1, generator=generator, dtype=torch.float64) * 3 * down
        directions /= scene.span.norms(directions)[..., None]
        lengths = scene.spread * 10 ** torch.empty(500, 1, 1, dtype=torch.float64).uniform_(
            -0.5, 4, generator=generator
        )
        forged = scene.mean + lengths * directions
        best = max(best, float(queries.scores(forged, lambda answer: -answer.along(scene.u)).max()))
    return best


def context_of(name: str, d: int) -> Context:
    rule, params = aggregators.make(name), torch.zeros(d)
    if rule.needs:
        rule = Informed(rule=rule, round=Round(clients=range(50), params=params), known=range(10, 50))
    return Context(round=0, params=params, rule=rule, clients=range(10, 50), f=10)


def rows(d: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, d, generator=generator) + 0.3 * torch.randn(d, generator=generator)


def seconds(work) -> float:  # type: ignore[no-untyped-def]
    work()
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
