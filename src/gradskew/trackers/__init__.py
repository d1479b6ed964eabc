"""Trackers, which log the finished runs of a sweep to other tools or to files: one tracker a file."""

from __future__ import annotations

from ..core.catalogue import attach
from .catalogue import TRACKERS

__getattr__, __dir__, __all__ = attach(__name__, __file__, TRACKERS)
