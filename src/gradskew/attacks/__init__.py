"""Attacks, which forge the rows of the Byzantine clients: one file each."""

from __future__ import annotations

from ..core.catalogue import attach
from .catalogue import ATTACKS

__getattr__, __dir__, __all__ = attach(__name__, __file__, ATTACKS)
