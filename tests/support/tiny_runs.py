"""Tiny runs with every kind of state that a checkpoint stores."""

from dataclasses import replace

from tiny import Cuts, Tiny

from gradskew import SGD, Run, aggregators, attacks
from gradskew.models import CNN, Linear, ResNet18

BASE = Run(
    source=Tiny(),
    partition=Cuts(sizes=(4, 4, 4, 4, 4, 4)),
    model=Linear(),
    clients=6,
    byzantine=1,
    rounds=5,
    sgd=SGD(epochs=1, batch=2),
)


RUNS = {
    "mean": BASE,
    "mimic and cclip": replace(
        BASE, attack=attacks.make("mimic(warmup=3)"), aggregator=aggregators.make("nnm+cclip(tau=0.1)")
    ),
    "sampled strike": replace(
        BASE, attack=attacks.make("strike"), aggregator=aggregators.make("bucketing+rfa"), sampled=5
    ),
    "batch norm": replace(
        BASE, source=Tiny(shape=(3, 8, 8)), model=ResNet18(norm="batch", width=2), engine="loop", rounds=3
    ),
    "aggregated buffers": replace(
        BASE,
        source=Tiny(shape=(3, 8, 8)),
        model=ResNet18(norm="batch", width=2),
        engine="loop",
        rounds=3,
        buffers="aggregated",
    ),
    **{
        name: replace(BASE, attack=attacks.make(name), aggregator=aggregators.make("median"), byzantine=2)
        for name in (
            "poisonedfl(every=2)",
            "replay(noise=0.01)",
            "rop",
            "mpaf(scale=1)",
            "labelflip(map=likely,share=0.5)+gaussian(sigma=std)",
            "fang",
        )
    },
    "poisonedfl with buffers": replace(
        BASE,
        source=Tiny(shape=(3, 8, 8)),
        model=ResNet18(norm="batch", width=2),
        attack=attacks.make("poisonedfl(every=1)"),
        engine="loop",
        rounds=3,
        buffers="aggregated",
    ),
    "worker momentum": replace(BASE, sampled=3, worker_momentum=0.9, attack=attacks.make("lie")),
    "momenta of gradients from the first": replace(
        BASE,
        sgd=SGD(local_steps=1, batch=2),
        rows="gradient",
        worker_momentum=0.5,
        worker_momentum_start="first",
        aggregator=aggregators.make("fltrust"),
        root_examples=4,
    ),
    "scaffold": replace(BASE, sampled=3, sgd=SGD(local_steps=3, batch=2, momentum=0.0), local="scaffold"),
    "fedavgm": replace(BASE, server="fedavgm"),
    "fedyogi and fedprox": replace(BASE, server="fedyogi", local="fedprox(mu=0.1)"),
    "cnn without lens": replace(BASE, source=Tiny(shape=(1, 8, 8)), model=CNN(), lens=False, rounds=3),
}
