"""The networks, one family a file, and a network as one flat vector of parameters."""

from __future__ import annotations

from ..core.catalogue import attach
from .catalogue import MODELS

__getattr__, __dir__, __all__ = attach(__name__, __file__, MODELS)
