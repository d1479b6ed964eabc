"""Data sets, their files, and how they are dealt to clients. One source a file."""

from __future__ import annotations

from ..core.catalogue import attach
from .catalogue import PARTITIONS, SOURCES

__getattr__, __dir__, __all__ = attach(__name__, __file__, SOURCES, PARTITIONS)
