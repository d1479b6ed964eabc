"""Lists of attacks and rules by name, in which `paper`, `all` and `worst` stand for several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .. import aggregators, attacks
from ..core.errors import check
from ..core.grammar import parse_one, split_list, with_options


def split_names(given: str | Iterable[Any], key: str) -> list[Any]:
    """Return the names in a list, as text or not; objects stay what they are. key: `attacks` or `rules`.

    `paper` stands for those of the paper, `all` for all rules that need no root data, where `smea` makes its greedy
    search, as the exact one may be too long, and for all attacks that take any rule. `worst` stands for the attacks of
    `attacks.WORST`, and `worst(effort=full,cap=3,limit=50)` for them with these options of the searches.
    """
    rules = ["smea(search=greedy)" if name == "smea" else name for name in aggregators.names()]
    every = [name for name, cls in attacks.ATTACKS.classes.items() if not cls.monotone_only]
    lists: dict[str, dict[str, Sequence[str]]] = {
        "rules": {"paper": aggregators.PAPER, "all": rules},
        "attacks": {"paper": attacks.PAPER, "all": every, "worst": attacks.WORST},
    }
    names: list[Any] = []
    for entry in split_list(given, key) if isinstance(given, str) else given:
        text = entry if isinstance(entry, str) else ""
        of_list = _worst(text) if key == "attacks" and text.startswith("worst(") else lists[key].get(text)
        names += [entry] if of_list is None else [name for name in of_list if name not in names]
    return names


def _worst(text: str) -> list[str]:
    """Return the attacks of `worst(...)`: those of `attacks.WORST`, the searches with the options in the text."""
    given = parse_one(text, "attack")[1]
    own = sorted(given.keys() & {"aim", "data"})
    check(not own, f"{', '.join(own)}: the searches of worst have their own")
    searches = [{"name": "adaptive", **parse_one(member, "attack")[1], **given} for member in attacks.ADAPTIVE]
    return [*attacks.PAPER, *map(with_options, searches)]
