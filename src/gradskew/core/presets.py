"""Whose settings: options that a preset sets in bulk, by name. What is not listed keeps its default.

paper: each definition follows its own paper. strike-authors: what the STRIKE authors' released scripts do, for
reproducing their tables. byzfl: what ByzFL does, for comparing with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "paper": {},
    "strike-authors": {
        "median": {"middle": "upper"},
        "aksel": {"middle": "upper"},
        "bucketing": {"told_f": "f/s"},
        "nnm": {"itself": False},
        "mimic": {"variant": "strike-authors"},
        "strike": {"middle": "upper", "max_alpha": 10.0, "few": "extrapolate"},
        "run": {"redraw_knowledge": True, "buffers": "aggregated"},
    },
    "byzfl": {
        "multikrum": {"neighbours": "n-f-1"},
        "rfa": {"start": "zero", "steps": 3, "nu": 0.1},
        "cclip": {"tau": 100.0},
        "ipm": {"epsilon": 2.0},
    },
}
