"""Time rules, mixings and attacks as a multiple of `updates.mean(0)` on the same matrix in the same run.

    python benchmarks/rules.py [--n 50] [--d 2470000] [--repeats 5] [--threads 2] [--byzfl]

Prints a Markdown table: seconds, multiple of the mean, multiple of a floor, extra memory, and the ratio to ByzFL where
it is installed (`make crosschecks` installs it) and has the rule. Repeats alternate between the mean, ours and theirs.

The floor is what the definition cannot do without on this machine, measured in the same run: one read of the matrix
(the time of a sum) for each pass, and for rules that need pairs half a float32 product of the matrix with itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gradskew import aggregators, attacks
from gradskew.core.round import Layer, Round
from timing import Work, alternate

Rule = Callable[[Tensor], object]

# name, passes over the matrix, whether it needs pairwise distances
RULES = [
    ("mean", 1, False),
    ("cclip", 2, False),
    ("dnc", 1, False),
    ("multikrum", 2, True),
    ("rfa", 2, True),
    ("nnm+multikrum", 2, True),
    ("nnm+rfa", 2, True),
    ("bucketing+rfa", 2, True),
    ("median", 1, False),
    ("rbtm", 1, False),
    ("aksel", 3, False),
    ("nnm+median", 2, True),
    ("meamed", 1, False),
    ("cge", 2, False),
    ("monna", 3, False),
    ("mda", 2, True),
    ("caf", 2, True),
    ("smea(search=greedy)", 2, True),
    ("bulyan", 2, True),
    ("fltrust", 3, False),
    ("flame", 3, True),
    ("foolsgold", 3, True),
    ("clippedclustering", 3, True),
    ("signguard", 2, False),
    ("rlr", 1, False),
    ("clipping+mean", 2, False),
    ("arc+multikrum", 3, True),
    ("keep+median", 3, True),
    ("foundation+rbtm", 4, False),
    ("alignins", 3, False),
    ("fedseca", 3, False),
    ("lasa", 4, False),
    ("gas", 2, True),
]
ATTACKS = [("lie", 1, False), ("ipm", 1, False), ("minmax", 2, True), ("minsum", 2, True), ("strike", 3, True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--d", type=int, default=2_470_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--byzfl", action="store_true", help="compare with ByzFL, which must be installed")
    arguments = parser.parse_args()
    n, d, f = arguments.n, arguments.d, arguments.n // 5
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    updates = torch.empty(n, d).normal_(generator=generator)
    updates += torch.empty(d).normal_(generator=generator)  # a common offset as large as the spread
    theirs = byzfl_rules(f) if arguments.byzfl else {}
    layers = {"weight": Layer(slice(0, d - 10), (d - 10, 1)), "bias": Layer(slice(d - 10, d), (10,))}
    round = Round(clients=range(n), params=updates[0].clone(), layers=layers, reference=updates[1].clone())

    print(
        f"{n} x {d} float32, f = {f}, {arguments.threads} threads, median of {arguments.repeats} alternating repeats;"
    )
    print(f"{platform.machine()}, torch {torch.__version__}\n")
    read, product = alternate([lambda: updates.sum(), lambda: updates @ updates.T], 3)
    print("| name | seconds (range) | x mean | x floor | extra memory (MB) | ByzFL's seconds | ByzFL / ours |")
    print("|---|---|---|---|---|---|---|")
    for name, passes, pairs in RULES:
        rule = aggregators.make(name)
        floor = passes * median(read) + pairs * median(product) / 2
        work = lambda rule=rule: rule(updates, f, round=round)  # noqa: E731
        row(name, work, updates, floor, theirs.get(name), arguments.repeats)
    for name, passes, pairs in ATTACKS:
        attack = attacks.make(name)
        floor = passes * median(read) + pairs * median(product) / 2
        work = lambda attack=attack: attack(updates[f:], updates[:f])  # noqa: E731
        row(name, work, updates, floor, theirs.get(name), arguments.repeats)


def row(
    name: str, ours: Work, updates: Tensor, floor: float, theirs: Callable[[Tensor], object] | None, repeats: int
) -> None:
    works: list[Work] = [lambda: updates.mean(0), ours]
    if theirs is not None:
        works.append(lambda: theirs(updates))
    extra = extra_memory(ours) - updates.shape[1] * updates.element_size() / 2**20  # the output is not extra
    mean, own, *other = alternate(works, repeats)
    times = f"{median(own):.4f} ({min(own):.4f} to {max(own):.4f})"
    ratio = statistics.median(b / a for a, b in zip(mean, own, strict=True))
    cells = [name, times, f"{ratio:.1f}", f"{median(own) / floor:.1f}", f"{max(0.0, extra):.0f}"]
    if other:
        faster = statistics.median(b / a for a, b in zip(own, other[0], strict=True))
        cells += [f"{median(other[0]):.3f}", f"{faster:.1f}"]
    else:
        cells += ["", ""]
    print(f"| {' | '.join(cells)} |", flush=True)


median = statistics.median


def extra_memory(work: Work) -> float:
    """How far the resident set rises above its size before, in MB; 0 where the system does not tell."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not clear.exists():
        return 0.0
    work()  # what is allocated once (thread pools, caches) is not counted
    clear.write_text("5")  # resets the peak
    before = _field(status, "VmRSS")
    work()
    return (_field(status, "VmHWM") - before) / 1024


def _field(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


def byzfl_rules(f: int) -> dict[str, Rule]:
    """ByzFL's rules under our names."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "crosschecks"))
    import conftest  # noqa: F401  (stand-ins for what its import wants)
    import byzfl  # isort: skip

    nnm, bucketing, rfa = byzfl.NNM(f), byzfl.Bucketing(2), byzfl.GeometricMedian(nu=1e-7, T=8)
    return {
        "mean": byzfl.Average(),
        "cclip": lambda updates: byzfl.CenteredClipping(L=1, tau=10.0)(updates),
        "multikrum": byzfl.MultiKrum(f),
        "rfa": rfa,
        "median": byzfl.Median(),
        "rbtm": byzfl.TrMean(f),
        "nnm+multikrum": lambda updates: byzfl.MultiKrum(f)(nnm(updates)),
        # their nnm takes half a minute at 50 x 2.5 million, whatever stands behind it: once is enough
        "bucketing+rfa": lambda updates: rfa(bucketing(updates)),
        "lie": lambda updates: byzfl.ALittleIsEnough(1.5)(updates[f:]),
        "ipm": lambda updates: byzfl.InnerProductManipulation(0.1)(updates[f:]),
    }


if __name__ == "__main__":
    main()
