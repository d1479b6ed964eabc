"""Tiny grids of runs, and attacks that fail in them."""

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from gradskew import SGD, Run, aggregators, attacks, grid
from gradskew.attacks import Attack, Forgery
from gradskew.models import Linear

BASE = Run(model=Linear(), clients=6, byzantine=1, rounds=2, sgd=SGD(epochs=1, batch=64, lr=0.1))


def runs_of(attack_names="none,lie", rule_names="mean,median", seeds=(0,), **changes):
    return grid(
        replace(BASE, **changes),
        attacks=[attacks.make(name) for name in attack_names.split(",")],
        aggregators=[aggregators.make(name) for name in rule_names.split(",")],
        seeds=seeds,
    )


@dataclass(frozen=True, kw_only=True)
class Raises(Attack):
    """Fails in a round, in the way that `what` names."""

    key: ClassVar[str] = "raises"
    what: str = "bug"

    def forge(self, view):
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "shape":
            return Forgery(view.own.updates[:, :-1])
        if self.what == "exit":
            sys.exit(0)
        raise {"bug": ZeroDivisionError, "memory": MemoryError, "disk": OSError}[self.what]("over\nhere")


def stored(folder):
    """Return the bytes of every stored record by digest."""
    return {path.parent.name: path.read_bytes() for path in Path(folder).glob("runs/*/record.json")}


class Log(list):
    """A list of the reports of progress."""

    def __call__(self, progress):
        self.append(progress)

    @property
    def rounds(self):
        return self[-1].rounds_done
