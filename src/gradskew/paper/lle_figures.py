"""Figures 1 and 2 of the paper: runs without attack, and some of their rounds in the plane, kept on disk."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from .. import attacks
from ..attacks import STRIKE
from ..attacks.strike import num_skewed
from ..core.errors import InputError, check, check_number
from ..core.files import write
from ..core.names import canonical, describe
from ..core.randomness import generator
from ..core.rows import Rows, check_rows
from ..federation.computing import computing
from ..federation.memory import check_fits
from ..federation.rounds import Federation
from ..federation.run import Run
from ..skew import Picture, embed
from ..skew.embedding import NEIGHBOURS
from .experiments import EXPERIMENTS, PRESET, plan

STRIKES = cast(STRIKE, attacks.make("strike", preset=PRESET))


def trace(
    run: Run,
    rounds: Collection[int],
    attack: STRIKE = STRIKES,
    *,
    forged: bool = False,
    on_round: Callable[[], None] = lambda: None,
) -> list[Picture]:
    """Play the run, without a Byzantine client, up to the last of the rounds, and embed the updates of each of them.

    attack: its first stage tells which of the n rows are skewed, for a fifth of them Byzantine, as in the paper's
    experiments: f = n // 5. forged: also embed what it would send to hide among them; this does not enter the training.
    Rows with a non-finite entry are left out. `on_round` is called after each round that was played.
    """
    check(run.num_byzantine == 0, f"the skew is that of honest updates: byzantine must be 0, not {run.byzantine}")
    check(len(rounds) > 0, "there is no round to look at")
    for round in rounds:
        check_number("a round to look at", round, at_least=0, below=run.rounds, whole=True)
    drawn = []
    with computing(run):
        check_fits([run])
        federation = Federation(run)
        for round in range(max(rounds) + 1):
            federation.round(round)
            if round in rounds:
                try:
                    drawn.append(_draw(federation.accepted, attack, forged, round))
                except InputError as error:
                    raise InputError(f"round {round}: {error}") from None
            on_round()
    return drawn


def _draw(honest: Tensor, attack: STRIKE, forged: bool, round: int) -> Picture:
    n = len(honest)
    f = n // 5
    mask = skewed(honest, f, attack)
    sent = attack.row(Rows(honest), f, n)[0][None] if forged and f else None  # f times the same row
    points = [(float(x), float(y)) for x, y in embed(honest, sent)]
    byzantine = () if sent is None else (points[-1],) * f
    return Picture(round, "lle", tuple(points[:n]), tuple(mask.tolist()), points[n], byzantine)


def skewed(honest: Tensor, f: int, attack: STRIKE = STRIKES) -> Tensor:
    """Which of the honest rows (n, d) are in S, STRIKE's first stage (Eqs. 6 to 8), if f of n are Byzantine: (n,)."""
    check_rows("honest", honest)
    rows = Rows(honest)
    mask = torch.zeros(rows.n, dtype=torch.bool)
    mask[attack.search(rows, num_skewed(rows.n, rows.n, f)).cpu()] = True
    return mask


def rounds_of(seed: int, rounds: int, count: int = 6) -> list[int]:
    """The rounds that the seed draws, in rising order and without repetition: `count` of them, or all if fewer.

    >>> rounds_of(0, rounds=4)
    [0, 1, 2, 3]
    """
    check_number("rounds", rounds, at_least=1, whole=True)
    check_number("count", count, at_least=1, whole=True)
    order = torch.randperm(rounds, generator=generator(seed, "figure rounds"))
    return sorted(order[:count].tolist())


@dataclass(frozen=True)
class Trace:
    """A run without attack, and the rounds of it that a figure shows: those that its seed draws, in the plane.

    forged: what STRIKE would have sent is shown as well. folder: where the embeddings are kept.
    """

    run: Run
    rounds: Sequence[int]
    forged: bool
    folder: Path

    @property
    def played(self) -> Run:
        """What is played of the run: up to the last round that is shown."""
        return replace(self.run, rounds=max(self.rounds) + 1)

    @property
    def path(self) -> Path:
        """The file, named after all that the embeddings depend on."""
        content = {
            "run": self.run.digest,
            "rounds": list(self.rounds),
            "strike": describe(STRIKES),
            "forged": self.forged,
        }
        method = {"neighbours": NEIGHBOURS, "scikit-learn": importlib.metadata.version("scikit-learn")}
        return self.folder / f"{hashlib.sha256(canonical({**content, **method}).encode()).hexdigest()}.json"

    def stored(self) -> list[Picture] | None:
        """The pictures in the file; None if they are not there, or damaged."""
        try:
            found = [Picture.from_json(entry) for entry in json.loads(self.path.read_text())]
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None
        return found if [picture.round for picture in found] == list(self.rounds) else None

    def play(self, on_round: Callable[[], None]) -> list[Picture]:
        """Play the run, and store the pictures."""
        made = trace(self.run, self.rounds, STRIKES, forged=self.forged, on_round=on_round)
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self.path, canonical([picture.to_json() for picture in made]) + "\n")
        return made


def follow(name: str, out: Path, *, shown: str | None = None, **given: Any) -> list[Trace]:
    """The runs of Figure 1 or 2, one for each seed. shown: `strike` or `none`, whose rows stand beside the honest."""
    experiment = EXPERIMENTS[name]
    attack = attacks.make(shown or ("strike" if experiment.forged else "none"), preset=PRESET)
    good = attack in (STRIKES, attacks.NoAttack())
    check(good, f"{name} shows the rows of strike, or none, not those of {attack.name}")
    runs = [replace(place.run, lens=False) for place in plan(name, **given)]
    several = len({run.seed for run in runs}) < len(runs)
    check(not several, f"{name} follows one rule, not several: see --aggregators")
    return [
        Trace(run, rounds_of(run.seed, run.rounds, experiment.embedded), attack == STRIKES, out / "embeddings")
        for run in runs
    ]
