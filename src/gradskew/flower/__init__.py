"""Flower: our rules inside its strategies, and a red team in front of them (docs/flower.md).

    from gradskew.flower import RedTeam, Robust

`Robust` aggregates the clients' replies with one of our rules, inside any strategy that averages. `RedTeam` runs an
attack against any strategy, in the user's own server process and on the replies that it received, and reports.
"""

from .redteam import RedTeam
from .robust import Robust

__all__ = ["RedTeam", "Robust"]
