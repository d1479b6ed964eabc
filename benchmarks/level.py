"""How often equal rules are called different: the error of the comparison that decides "level with", by simulation.

    python benchmarks/level.py [--draws 2000]

Each draw is the accuracies of k rules under a attacks for n seeds, where all rules have the same true worst case; it is
wrong if a rule is told apart from the one that looks best. At most 5 % may be wrong, whatever rule and attack are
chosen by their accuracies. Noise `equal`: one standard deviation for all; `uneven`: drawn for each rule and attack;
`one-sided`: the first rule has a hundredth of the others' and is hurt by one attack alone, so that only the choice of
the worst attack on the others misleads. A seed's partition adds the same to all. The last line is what no test is,
without that part: means further apart than the larger of two standard deviations.
"""

from __future__ import annotations

import argparse

import numpy as np

from gradskew.report.comparison import level_with

SEEDS = (2, 3, 5, 10)
CASES = [
    *((rules, 1, noise) for rules in (2, 7) for noise in ("equal", "uneven")),
    *((rules, 8, noise) for rules in (2, 7) for noise in ("equal", "uneven", "one-sided")),
]


def draw(rules: int, attacks: int, seeds: int, noise: str, generator: np.random.Generator) -> np.ndarray:
    """Return accuracies in % of rules of one true worst case: (rules, attacks, seeds)."""
    scatter = np.ones((rules, attacks, 1))
    if noise == "uneven":
        scatter = generator.choice([0.3, 1.0, 4.0], size=scatter.shape)
    above = np.zeros((rules, attacks, 1))
    if noise == "one-sided":
        scatter[0], above[0, 1:] = 0.01, 20.0
    hardness = 0.0 if noise == "independent" else 3.0
    shared = hardness * generator.normal(size=(1, 1, seeds))  # a seed's partition is easy or hard for all
    return 70 + above + shared + scatter * generator.normal(size=(rules, attacks, seeds))


def is_wrong(accuracies: np.ndarray) -> bool:
    """Return whether a rule is told apart from the best."""
    best = int(accuracies.mean(-1).min(-1).argmax())
    rivals = {rule: [dict(enumerate(column)) for column in columns] for rule, columns in enumerate(accuracies)}
    return len(level_with(best, rivals, None)) < len(rivals) - 1


def was_wrong(accuracies: np.ndarray) -> bool:
    """Return the same by what is no test: means differ by more than the larger standard deviation (by the count)."""
    worst = accuracies[np.arange(len(accuracies)), accuracies.mean(-1).argmin(-1)]
    means, spreads = worst.mean(-1), worst.std(-1)
    best = means.argmax()
    apart = means[best] - means >= np.maximum(spreads, spreads[best])
    return bool(np.delete(apart, best).any())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    draws = parser.parse_args().draws
    print("| rules | attacks | noise | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |")
    print("|---|---|---|" + "---|" * len(SEEDS))
    no_test = (", means against the larger spread", was_wrong, [(2, 1, "independent")])
    for name, wrong, cases in (("", is_wrong, CASES), no_test):
        for rules, attacks, noise in cases:
            rates = []
            for seeds in SEEDS:
                generator = np.random.default_rng([rules, attacks, seeds])
                found = sum(wrong(draw(rules, attacks, seeds, noise, generator)) for _ in range(draws))
                rates.append(f"{100 * found / draws:.1f} %")
            print(f"| {rules} | {attacks} | {noise}{name} | " + " | ".join(rates) + " |", flush=True)


if __name__ == "__main__":
    main()
