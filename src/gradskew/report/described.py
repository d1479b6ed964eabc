"""What a federation is, as text, from the spec of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..core.grammar import with_options
from ..federation.metrics import TESTED
from ..federation.optimizer import SGD

USUAL: Mapping[str, Any] = {field.name: field.default for field in fields(SGD)}


def count(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural: 1 round, 2 rounds."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def describe(spec: Mapping[str, Any]) -> str:
    """Return one line on a federation, without its seeds."""
    sampled = "" if spec["sampled"] == spec["clients"] else f", {spec['sampled']} a round"
    attackers = ", ".join([f"{spec['byzantine']} Byzantine", *_attackers(spec)])
    return (
        f"{spec['dataset']}, {with_options(spec['model'])}; {count(spec['clients'], 'client')}{sampled}, {attackers}; "
        f"{with_options(spec['partition'])}; {count(spec['rounds'], 'round')} of {', '.join(_training(spec))}"
    )


def settings(spec: Mapping[str, Any]) -> str:
    """Return what the columns of results.csv do not say of a federation."""
    return ", ".join([*_training(spec), *_attackers(spec)])


def _attackers(spec: Mapping[str, Any]) -> list[str]:
    """Return what the attacker and the rule know, and when there is an attack, where it is not usual."""
    parts = []
    if spec.get("known") == "own":
        parts.append("attacker knows its own rows alone")
    elif spec["knowledge"] != 1:
        drawn = " of each round" * spec.get("redraw_knowledge", False)
        parts.append(f"attacker knows {100 * spec['knowledge']:g} % of the honest{drawn}")
    parts += [f"attack in rounds {spec['attack_rounds']}"] if "attack_rounds" in spec else []
    told = spec.get("told", "actual")
    named = {"actual": [], "expected": ["rule told the expected f"]}
    return parts + named.get(told, [f"rule told f = {told}"])


def _training(spec: Mapping[str, Any]) -> list[str]:
    """Return what clients and server do in a round, and what is tested."""
    sgd = spec["sgd"]
    parts = [count(sgd["local_steps"], "step") if "local_steps" in sgd else count(sgd["epochs"], "epoch")]
    parts += [f"batch {sgd['batch']}", f"lr {sgd['lr']:g}"]
    for name in ("momentum", "weight_decay", "clip"):
        if sgd.get(name, USUAL[name]) != USUAL[name]:
            parts.append(f"{name.replace('_', ' ')} {'none' if sgd[name] is None else format(sgd[name], 'g')}")
    parts += [f"loss {spec['loss']} (tested by {TESTED[spec['loss']]})"] if "loss" in spec else []
    parts += [f"rows {spec['rows']}"] if spec.get("rows", "update") != "update" else []
    parts += [with_options(spec["local"])] if "local" in spec else []
    if spec.get("worker_momentum"):
        first = " from the first row" * (spec.get("worker_momentum_start", "zero") == "first")
        parts.append(f"worker momentum {spec['worker_momentum']:g}{first}")
    parts += [f"server {with_options(spec['server'])}"] if "server" in spec else []
    parts += [f"{spec['root_examples']} inputs at the server"] if spec.get("root_examples") else []
    parts += ["full-batch gradients measured"] if spec.get("probe") else []
    parts += ["clients vote"] if spec.get("votes") else []
    parts += ["buffers aggregated"] if spec.get("buffers", "mean") != "mean" else []
    parts += [str(spec["precision"])] if spec.get("precision", "float32") != "float32" else []
    parts += [f"tested on {100 * spec['validation']:g} % of the training inputs"] if spec.get("validation") else []
    return parts
