"""Presets: whose settings the options of all methods take. Each method has its own in its class attribute `presets`."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import unknown

PRESETS: Mapping[str, str] = {
    "paper": "each definition follows its own paper",
    "strike-authors": "what the STRIKE authors' released scripts do, for reproducing their tables",
    "byzfl": "what ByzFL does, for comparing with it",
    "byzpy": "what ByzPy does",
    "flower": "what Flower's robust strategies do",
}


def check_preset(name: str) -> None:
    """Raise InputError unless this is the name of a preset; it names the nearest."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
