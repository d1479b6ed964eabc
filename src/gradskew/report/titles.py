"""Names of rules and attacks as papers write them, for print."""

from __future__ import annotations

import re

from ..aggregators import MIXINGS, RULES
from ..attacks import ATTACKS
from ..core.grammar import split_last


def title(name: str) -> str:
    """Return the name of a rule or an attack as papers write it, with its options; a user's own stays as it is.

    >>> title("nnm+multikrum(m=3)"), title("multikrum(m=1)"), title("none"), title("my_rules:best")
    ('NNM + Multi-Krum (m=3)', 'Krum', 'no attack', 'my_rules:best')
    """
    before, last = split_last(name, "+")
    key, parenthesis, options = last.partition("(")
    room, known = next(((room, cls) for room in (RULES, MIXINGS, ATTACKS) if (cls := room.find(key))), (RULES, None))
    written = last if known is None else f"{known.title or key} {parenthesis}{options}".strip()
    for alias, own in known.titles.items() if known else ():
        written = own if last == room.meanings[alias] else written
    return f"{title(before[:-1])} + {written}" if before else written


def in_lines(name: str, most: int = 20) -> str:
    """Return a name in lines of this many letters at most, which end after one of `+,.:(_` where they can.

    >>> in_lines("clipping(c=median)+average(a=consensus,b=dnc)").split("\\n")
    ['clipping(c=median)+', 'average(a=consensus,', 'b=dnc)']
    """
    lines = [""]
    for part in re.findall(rf"[^+,.:(_]{{0,{most - 1}}}[+,.:(_]|[^+,.:(_]{{1,{most}}}", name):
        if len(lines[-1]) + len(part) > most:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def short_name(rule: str) -> str:
    """Return the name of a rule, of a pipeline that has a name of its own that one.

    >>> short_name("clipping(c=median)+average(a=consensus,b=dnc(b=None))"), short_name("nnm+rbtm")
    ('consensus_dnc', 'nnm+rbtm')
    """
    return next((name for name, pipeline in RULES.pipelines.items() if pipeline == rule), rule)
