"""Attacks: what Byzantine clients send, one a file."""

from __future__ import annotations

from ..core.catalogue import attach
from .catalogue import ATTACKS

__getattr__, __dir__, __all__ = attach(__name__, __file__, ATTACKS)
