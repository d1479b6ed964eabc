"""Time rules, mixings and attacks beside other tools, in CPU seconds.

    python benchmarks/rules.py [--n 50] [--d 2470000] [--repeats 5] [--threads 1] [--names mean,lie]
                               [--peers byzfl,byzpy,qora_fl,plain] [--limit 20]

Prints a Markdown table: our CPU seconds, as multiples of `updates.mean(0)`, of one read of the matrix (its sum) and of
one float32 Gram matrix, timed in the same run; extra memory; and for each peer its time divided by ours with the same
options, from alternating repeats. Then for each peer the geometric mean and the worst case. Both answers are compared
first: `differs` says that they are more than 0.1 % apart. A peer whose first call takes more than `--limit` CPU
seconds, or more than the free memory, is not timed. `make crosschecks` installs the peers but `plain`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections import Counter
from functools import partial
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from gradskew import aggregators, attacks
from gradskew.core.errors import InputError
from gradskew.core.round import Layer, Round
from peers import TOOLS, Peer, peers
from timing import Work, alternate, refusal

FEASIBLE = {"smea": "smea(search=greedy)"}  # the exact search ends at few rows only
PIPELINES = ["nnm+multikrum", "nnm+rfa", "nnm+median", "bucketing+rfa", "clipping+mean", "arc+multikrum"]
PIPELINES += ["keep+median", "foundation+rbtm", "dnc(b=None)", "clipping(c=median)+dnc(b=None)", "consensus_dnc"]
NAMES = [
    *(FEASIBLE.get(name, name) for name in aggregators.RULES.classes),
    "krum",
    *PIPELINES,
    *(
        name
        for name, cls in attacks.ATTACKS.classes.items()
        if name not in ("none", "labelflip") and not cls.tries_rule  # no rows; see benchmarks/adaptive.py
    ),
]

median = statistics.median

Refused = dict[tuple[str, str], str | None]  # by tool and name, why a peer is not timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--d", type=int, default=2_470_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--names", type=_names, default=NAMES, help="comma-separated; default: all")
    parser.add_argument("--peers", type=_names, default=["plain"], help=f"comma-separated, of {', '.join(TOOLS)}")
    parser.add_argument("--limit", type=int, default=20, help="CPU seconds that a peer's call may take")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    n, d, f = options.n, options.d, options.n // 5
    generator = torch.Generator().manual_seed(0)
    updates = torch.empty(n, d).normal_(generator=generator)
    updates += torch.empty(d).normal_(generator=generator)  # a common offset as large as the spread
    layers = {"weight": Layer(slice(0, d - 10), (d - 10, 1)), "bias": Layer(slice(d - 10, d), (10,))}
    round = Round(clients=range(n), params=updates[0].clone(), layers=layers, reference=updates[1].clone())
    others = [peer for tool in options.peers for peer in peers(tool, updates, f, round) if peer.name in options.names]
    threadpool_limits(options.threads)
    refused = {(peer.tool, peer.name): refusal(peer.call, options.limit) for peer in others}
    bench = Bench(updates, f, round, options.repeats, options.limit)

    print(f"{n} x {d} float32, f = {f}, threads: {options.threads}, median of {options.repeats} alternating repeats;")
    print(f"{platform.machine()}, torch {torch.__version__}\n")
    ratios = [f"{tool} / ours" for tool in options.peers]
    columns = ["name", "CPU seconds (range)", "x mean", "x read", "x Gram", "extra memory (MB)", *ratios]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name in options.names:
        print(f"| {' | '.join(bench.row(name, options.peers, others, refused))} |", flush=True)
    print("\n>: above the limit. *: another definition, or drawn at random: answers not compared, not in the means.\n")
    for tool in options.peers:
        print(bench.summary(tool))


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


class Bench:
    """Times ours and the peers' on the same rows, which are put back before each call: some peers write into them."""

    def __init__(self, updates: Tensor, f: int, round: Round, repeats: int, limit: int) -> None:
        self.updates, self.f, self.round, self.repeats, self.limit = updates, f, round, repeats, limit
        self.kept = updates.clone()
        self.measured: dict[str, dict[str, float]] = {}
        self.slow: Counter[str] = Counter()
        self.read, self.gram = map(median, self.time([lambda: updates.sum(), lambda: updates @ updates.T]))

    def time(self, works: list[Work]) -> list[list[float]]:
        return alternate(works, self.repeats, clock=time.process_time, before=self.restore)

    def restore(self) -> None:
        self.updates.copy_(self.kept)

    def ours(self, name: str, preset: str = "paper") -> tuple[str, Work]:
        """Our rule or attack, and its call on the rows."""
        if name.partition("(")[0] in attacks.names():
            attack = attacks.make(name, preset=preset)
            return repr(attack), partial(attack, self.updates[self.f :], self.updates[: self.f])
        rule = aggregators.make(name, preset=preset)
        return repr(rule), partial(rule, self.updates, self.f, round=self.round)

    def row(self, name: str, tools: list[str], others: list[Peer], refused: Refused) -> list[str]:
        """The cells of a row of the table."""
        key, work = self.ours(name)
        try:
            extra = extra_memory(work) - self.updates.shape[1] * self.updates.element_size() / 2**20  # without output
        except InputError as error:
            return [name, str(error), *[""] * (4 + len(tools))]
        works: dict[str, Work] = {"mean": lambda: self.updates.mean(0), key: work}
        own: dict[str, str] = {}
        cells = dict.fromkeys(tools, "")
        for peer in (peer for peer in others if peer.name == name):
            own[peer.tool], call = self.ours(peer.ours, peer.preset)
            works[own[peer.tool]] = call
            reason = refused[peer.tool, name]
            if reason is None and peer.same and not self.agree(call, peer.call):
                reason = "differs"
            if reason is None:
                works[peer.tool] = peer.call
            cells[peer.tool] = reason or ""
        seconds = dict(zip(works, self.time(list(works.values())), strict=True))
        for peer in (peer for peer in others if peer.name == name):
            mine, tool, star = seconds[own[peer.tool]], peer.tool, "*" * (not peer.same)
            if cells[tool] == "time":
                cells[tool] = f"> {self.limit / median(mine):.0f}{star}"
                self.slow[tool] += peer.same
            elif not cells[tool]:
                ratio = median(b / a for a, b in zip(mine, seconds[tool], strict=True))
                cells[tool] = f"{ratio:.2f}{star}"
                if peer.same:
                    self.measured.setdefault(tool, {})[name] = ratio
        times = seconds[key]
        of_mean = median(b / a for a, b in zip(seconds["mean"], times, strict=True))
        middle = median(times)
        return [
            name,
            f"{middle:.5f} ({min(times):.5f} to {max(times):.5f})",
            *(f"{ratio:.1f}" for ratio in (of_mean, middle / self.read, middle / self.gram)),
            f"{max(0.0, extra):.0f}",
            *cells.values(),
        ]

    def agree(self, ours: Work, theirs: Work) -> bool:
        """Whether both answers are at most 0.1 % apart; one forged row stands for as many as ours.

        The rows are scaled by 1 to 2 for it, so that no choice between them hangs on the rounding of float32.
        """
        answers = []
        for work in (ours, theirs):
            self.restore()
            self.updates.mul_(torch.linspace(1, 2, len(self.updates))[:, None])
            answers.append(torch.as_tensor(work()).clone().reshape(-1, self.updates.shape[1]))
        wanted, other = answers
        return bool((wanted - other).norm() <= 1e-3 * wanted.norm())

    def summary(self, tool: str) -> str:
        ratios = self.measured.get(tool, {})
        if not ratios:
            return f"{tool}: nothing to compare"
        worst = min(ratios, key=lambda name: ratios[name])
        return (
            f"{tool} / ours: geometric mean {statistics.geometric_mean(ratios.values()):.2f} over {len(ratios)} names, "
            f"worst {ratios[worst]:.2f} ({worst}), {self.slow[tool]} more above the limit"
        )


def extra_memory(work: Work) -> float:
    """How far the resident set rises above its size before, in MB; 0 where the system does not tell."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    work()  # what is allocated once (thread pools, caches) is not counted
    if not clear.exists():
        return 0.0
    clear.write_text("5")  # resets the peak
    before = _field(status, "VmRSS")
    work()
    return (_field(status, "VmHWM") - before) / 1024


def _field(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


if __name__ == "__main__":
    main()
