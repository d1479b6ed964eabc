"""Stand-ins for what ByzFL imports and none of its aggregators or attacks uses."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any


class StandIn(ModuleType):
    """A module in which every name is found: it is another stand-in, which can be called."""

    __path__: list[str] = []  # noqa: RUF012 (a module attribute: it makes submodules importable)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self


STOOD_IN = ("torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.models", "seaborn")
missing = {name for name in ("torchvision", "seaborn") if importlib.util.find_spec(name) is None}
sys.modules.update({name: StandIn(name) for name in STOOD_IN if name.split(".")[0] in missing})
