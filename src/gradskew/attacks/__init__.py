"""Attacks: what Byzantine clients send. One file each, one table of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import unknown
from ..core.importing import is_path, registered
from ..core.names import Registry, parse_one
from ..core.plugin import load_plugin
from ..core.presets import PRESETS
from .base import Attack, Collusion, Context, Forgery, View
from .bitflip import BitFlip
from .ipm import IPM
from .labelflip import LabelFlip
from .lie import LIE
from .mimic import Mimic
from .minmax import MinMax
from .minsum import MinSum
from .none import NoAttack
from .strike import STRIKE
from .user import UserAttack

__all__ = [
    "ATTACKS",
    "IPM",
    "LIE",
    "STRIKE",
    "Attack",
    "BitFlip",
    "Collusion",
    "Context",
    "Forgery",
    "LabelFlip",
    "Mimic",
    "MinMax",
    "MinSum",
    "NoAttack",
    "UserAttack",
    "View",
    "make",
    "names",
]

ATTACKS: Registry[Attack] = Registry("attack", [NoAttack, BitFlip, LabelFlip, LIE, IPM, MinMax, MinSum, Mimic, STRIKE])
"""All attacks by name."""


def names() -> list[str]:
    """The names of all attacks."""
    return list(ATTACKS)


def make(name: str, *, preset: str = "paper") -> Attack:
    """The attack with this name: `strike`, `lie(z=1.0)`, `package.module:attack`.

    A name with a colon is the path of a function, an object or a class of somebody else's; a name that is not ours may
    be one that an installed package registers as an entry point of `gradskew.attacks`. preset: `paper`,
    `strike-authors` or `byzfl`; options written in the name count over it. Raises ValueError for an unknown name or
    option, naming the nearest.

    >>> make("strike(nu=0.5)")
    STRIKE(nu=0.5, middle='midpoint', max_alpha=None, few='one')
    """
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    key, options = parse_one(name, "attack")
    return ATTACKS.make(key, options, PRESETS[preset].get(key)) if key in ATTACKS else _theirs(key, options)


def _theirs(name: str, options: Mapping[str, Any]) -> Attack:
    """An attack that is not ours: by its path, or by the name that a package registered."""
    others = {} if is_path(name) else registered("attack")
    if not is_path(name) and name not in others:
        raise unknown("attack", name, [*ATTACKS, *others])
    called = name if name in others else ""
    attack: Attack = load_plugin(
        UserAttack, Attack, others.get(name, name), options, called=called, taken=list(ATTACKS)
    )
    return attack
