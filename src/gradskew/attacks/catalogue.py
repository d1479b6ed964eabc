"""The catalogue of attacks, and `make`, which builds an attack from its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..core.catalogue import MAKERS, Catalogue
from ..core.errors import check
from ..core.grammar import parse

if TYPE_CHECKING:
    from .base import Attack

PAPER = ("none", "bitflip", "labelflip", "lie", "ipm", "minmax", "minsum", "mimic", "strike")
"""The names of the paper's attacks."""

ADAPTIVE = tuple(f"adaptive(aim={aim},cap=None)" for aim in ("undo", "stop", "loss", "loss+stop", "loss+stop+undo"))
"""The attacks that search for the worst of each rule, which are the rest of `WORST`."""

WORST = (*PAPER, *ADAPTIVE)
"""The ensemble whose least accuracy is the worst found of a rule; each member plays federations of its own."""

WORST_SEEDS = 3
"""The least number of seeds of the ensemble: under it a run is held where it starts, or escapes, by seed."""


def _load(path: str, given: Mapping[str, Any], alias: str) -> Attack:
    """Return the attack at a path `package.module:name`; an object that is no `Attack` is wrapped."""
    from ..core.plugin import load_plugin
    from .base import Attack
    from .user import UserAttack

    attack: Attack = load_plugin(UserAttack, Attack, path, given, alias=alias)
    return attack


ATTACKS: Catalogue[Attack] = Catalogue("attack", __package__, "Attack", first=PAPER, wrap=_load)
"""All attacks by name."""


def names() -> list[str]:
    """Return the names of all attacks."""
    return list(ATTACKS)


def make(name: str | Attack | Callable[..., Any], *, preset: str = "paper", arrays: str = "torch") -> Attack:
    """Return the attack with this name: `strike`, `lie(z=1.0)`, `package.module:attack`.

    `package.module:attack` is the path of a user's function, object or class. Other installed packages add names by
    entry points of `gradskew.attacks`. preset: `paper`, `strike-authors`, `byzfl` or `byzpy`; options in the name
    override it.
    `labelflip+bitflip` combines an attack on the Byzantine clients' training with one on what they send. Raises
    InputError for an unknown name or option and suggests the nearest one.

    A function of the honest rows, or an object that is called with them, is wrapped: see `UserAttack`. arrays: `torch`
    or `numpy`, the type of its arguments. One that was typed in a notebook stays in this process.

    >>> make("strike(nu=0.5)")
    STRIKE(nu=0.5, middle='midpoint', max_alpha=None, few='one')
    """
    if not isinstance(name, str):
        from ..core.plugin import wrap_object
        from .base import Attack
        from .user import UserAttack

        attack: Attack = wrap_object(UserAttack, Attack, name, arrays)
        return ATTACKS.with_own_key(attack)
    stages = parse(name)
    check(len(stages) < 3, f"an attack is one name, or two joined by '+', not {len(stages)}: {name[:80]!r}")
    parts = [ATTACKS.make(key, given, preset=preset) for key, given in stages]
    if len(parts) == 1:
        return parts[0]
    from .combined import Combined

    return Combined(data=parts[0], model=parts[1])


MAKERS["Attack"] = lambda text, preset: make(text, preset=preset)
