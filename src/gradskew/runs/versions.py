"""Tell apart the versions of a user's code in the records of a federation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import warn
from ..core.grammar import with_options
from ..core.names import canonical
from ..federation.code_digest import LAYERS, NETWORK
from .record import Record

# The fields of a spec in which the records of one table may differ.
CELL = ("attack", "attack_name", "aggregator", "aggregator_name", "seed", "user_code")


def federation_key(spec: Mapping[str, Any]) -> str:
    """Return the settings in which the records of one table agree, as text."""
    return canonical({key: value for key, value in spec.items() if key not in CELL})


def changed_code(records: Iterable[Record]) -> list[str]:
    """Return the names in a user's code of which the records of one federation have several versions."""
    records = list(records)
    versions: dict[tuple[str, int | None], set[str]] = {}
    for record in records:
        for entry, code in _entries(record.spec).items():
            versions.setdefault(entry, set()).add(code)
    return list(dict.fromkeys(_named(records[0].spec, name) for (name, _), codes in versions.items() if len(codes) > 1))


def newest(records: Mapping[str, Record], finished: Mapping[str, str]) -> list[Record]:
    """Return the records without those of an earlier version of a user's code in their federation, with a warning.

    records: by digest. finished: when each run ended, as text in the order of time.
    """
    versions: dict[str, dict[tuple[str, int | None], str]] = {}
    for digest in sorted(records, key=lambda digest: finished[digest]):
        spec = records[digest].spec
        versions.setdefault(federation_key(spec), {}).update(_entries(spec))
    kept: list[Record] = []
    old: dict[str, None] = {}
    for record in records.values():
        last = versions[federation_key(record.spec)]
        entries = _entries(record.spec)
        changed = [_named(record.spec, name) for (name, seed), code in entries.items() if code != last[name, seed]]
        old |= dict.fromkeys(changed)
        kept += [] if changed else [record]
    if old:
        left = len(records) - len(kept)
        runs = f"{left} run{'' if left == 1 else 's'} of an earlier version of {', '.join(old)}"
        warn(f"gradskew: {runs} left out of the tables: the file, or what it builds, was changed since")
    return kept


def _entries(spec: Mapping[str, Any]) -> dict[tuple[str, int | None], str]:
    """Return the digests of a user's code in a spec by name; of a network's numbers also by seed."""
    return {(name, spec["seed"] if name == NETWORK else None): code for name, code in spec.get("user_code", {}).items()}


def _named(spec: Mapping[str, Any], name: str) -> str:
    return with_options(spec["model"]) if name in (LAYERS, NETWORK) else name
