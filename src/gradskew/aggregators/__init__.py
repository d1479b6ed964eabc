"""Robust aggregation rules (AGRs) and the mixings that stand before them, one a file."""

from __future__ import annotations

from ..core.catalogue import attach
from .catalogue import MIXINGS, RULES

__getattr__, __dir__, __all__ = attach(__name__, __file__, RULES, MIXINGS)
