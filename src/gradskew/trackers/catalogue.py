"""The table of trackers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.catalogue import Catalogue

if TYPE_CHECKING:
    from .base import Tracker

TRACKERS: Catalogue[Tracker] = Catalogue("tracker", __package__, "Tracker")
"""All trackers by name."""
