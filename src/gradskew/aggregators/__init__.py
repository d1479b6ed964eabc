"""Robust aggregation rules (AGRs), and mixings that transform the rows before a rule: one file each."""

from __future__ import annotations

from ..core.catalogue import attach
from .catalogue import MIXINGS, RULES

__getattr__, __dir__, __all__ = attach(__name__, __file__, RULES, MIXINGS)
