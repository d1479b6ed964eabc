"""What the content of a results folder may be: types and ranges, as tables. A right checksum does not make it right.

A run's spec is held to it when the run is made, so that what was written can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..core.errors import InputError
from ..core.files import is_sha256

LONGEST = 10_000  # characters of a name or an option
DEEPEST = 200  # stages of a rule, one in the other
MOST = 10**9  # clients, rounds, images
LEAST, LARGEST = 1e-100, 1e100  # of a measured number that is not 0: sums, ratios and squares of them are finite
ROUNDING = 1e-6  # by which a share may exceed 1

Kind = Callable[[Any], bool]


def whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST


def positive(value: Any) -> bool:
    return whole(value) and value > 0


def measured(value: Any) -> bool:
    """A number that is 0 or more; NaN is none."""
    return type(value) in (int, float) and (value == 0 or LEAST <= value <= LARGEST)


def share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1 + ROUNDING


def percent(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 100


def bound(value: Any) -> bool:
    """JSON has no word for infinity."""
    return value == "inf" or measured(value)


def projection(value: Any) -> bool:
    return type(value) in (int, float) and (value == 0 or LEAST <= abs(value) <= LARGEST)


def flag(value: Any) -> bool:
    return type(value) is bool


def text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST and value.isprintable()


def maybe(kind: Kind) -> Kind:
    return lambda value: value is None or kind(value)


def listed(kind: Kind) -> Kind:
    return lambda value: type(value) in (list, tuple) and all(map(kind, value))


def nested(value: Any, kind: Kind, depth: int = 0) -> bool:
    """A value of a kind, or lists and objects of such; not so deep that the stack decides whether it can be read."""
    if type(value) not in (dict, list, tuple):
        return kind(value)
    keys, inside = (value, value.values()) if type(value) is dict else ((), value)
    named = all(isinstance(key, str) and kind(key) for key in keys)
    return named and depth < DEEPEST and all(nested(entry, kind, depth + 1) for entry in inside)


def setting(value: Any) -> bool:
    """What a spec says of something: a number, a text, a list of settings, or settings by name."""
    return nested(value, lambda each: each is None or type(each) in (bool, int, float) or text(each))


def shallow(value: Any) -> bool:
    """Whatever JSON holds, but not too deep."""
    return nested(value, lambda each: True)


def part(value: Any) -> bool:
    """A rule, an attack, a model with its options."""
    return type(value) is dict and text(value.get("name"))


def notes(value: Any) -> bool:
    """What a rule or an attack noted on a round."""
    return type(value) is dict and shallow(value)


def rule(value: Any) -> bool:
    """A rule, or a mixing with the rule behind it, which may again stand behind one."""
    while part(value) and "mixing" in value:
        if not part(value["mixing"]):
            return False
        value = value.get("rule")
    return part(value)


def training(value: Any) -> bool:
    """The options of local training."""
    known = part(value) and all(type(value.get(key)) in (int, float) for key in ("lr", "momentum", "weight_decay"))
    return known and "clip" in value and positive(value.get("epochs")) and positive(value.get("batch"))


def code(value: Any) -> bool:
    """The digest of each of a user's files."""
    return type(value) is dict and all(map(is_sha256, value.values()))


def seed(value: Any) -> bool:
    return type(value) is int and value >= 0


SPEC: Mapping[str, Kind] = {
    "dataset": text,
    "data_sha256": is_sha256,
    "partition": part,
    "model": part,
    "attack": part,
    "attack_name": text,
    "aggregator": rule,
    "aggregator_name": text,
    "clients": positive,
    "sampled": positive,
    "byzantine": whole,
    "rounds": positive,
    "sgd": training,
    "knowledge": share,
    "redraw_knowledge": flag,
    "told": text,
    "buffers": text,
    "seed": seed,
    "engine": text,
    "device": text,
    "threads": positive,
    "precision": text,
    "torch": text,
    "numpy": text,
    "semantics": whole,
}
SOMETIMES: Mapping[str, Kind] = {
    "evaluate_every": positive,
    "lens": whole,
    "pictures": listed(whole),
    "user_code": code,
}
ROUND: Mapping[str, Kind] = {
    "round": whole,
    "accuracy": maybe(percent),
    "rows": whole,
    "byzantine_rows": whole,
    "rejected": whole,
    "f": whole,
    "clamped": flag,
    "stepped": flag,
    "byzantine_share": maybe(share),
    "distance": maybe(measured),
    "attack": lambda value: notes(value) and flag(value.get("called")),
    "rule": notes,
}
SEEN: Mapping[str, Kind] = {
    "f": whole,
    "skewed": positive,
    "spread": measured,
    "principal_share": share,
    "shift": measured,
    "density": maybe(measured),
    "towards": listed(projection),
    "principal": listed(projection),
    "kappa": maybe(measured),
    "kappa_bound": maybe(bound),
    "selected": maybe(share),
    "shut_out": maybe(listed(whole)),
    "clients": maybe(listed(whole)),
    "classes": maybe(listed(maybe(percent))),
}
TIMING: Mapping[str, Kind] = {
    "seconds": measured,
    "rounds_per_second": measured,
    "peak_memory_mb": measured,
    **dict.fromkeys(("finished", "device", "system", "gradskew", "python", "torch"), text),
}


def check_fields(name: str, content: Any, kinds: Mapping[str, Kind]) -> None:
    """Each key is there, with a value of its kind."""
    if type(content) is not dict:
        raise InputError(f"{name} is no object")
    for key, kind in kinds.items():
        if key not in content:
            raise InputError(f"{name} has no {key}")
        if not kind(content[key]):
            raise InputError(f"{name} has a {key} that cannot be: {content[key]!r:.60}")


def check_spec(spec: Any) -> None:
    """Raise InputError unless a run may be so."""
    there = spec if type(spec) is dict else {}
    check_fields("the spec", spec, {**SPEC, **{key: kind for key, kind in SOMETIMES.items() if key in there}})
    _hold(all(text(key) and setting(value) for key, value in spec.items()), "the spec has a setting that cannot be")
    few = spec["byzantine"] < spec["clients"] >= spec["sampled"]
    _hold(few, "the spec has more Byzantine or sampled clients than clients")


def check_rounds(rounds: Any, spec: Mapping[str, Any]) -> None:
    """Raise InputError unless these can be the first rounds of a run with this spec."""
    _hold(type(rounds) is list and len(rounds) <= spec["rounds"], "it has more rounds than its spec")
    for number, metrics in enumerate(rounds):
        name = f"round {number}"
        check_fields(name, metrics, ROUND)
        _check_others(name, metrics, {*ROUND, "lens"})
        _hold(metrics["round"] == number, f"{name} is called {metrics['round']}")
        honest = metrics["rows"] - metrics["byzantine_rows"]
        _hold(honest >= 0 and metrics["rows"] + metrics["rejected"] == spec["sampled"], f"{name} has other rows")
        _hold(("lens" in metrics) == ("lens" in spec), f"{name} and the spec differ on the lens")
        if metrics.get("lens") is not None:
            _check_seen(f"the lens in {name}", metrics["lens"], honest, spec)


def _check_seen(name: str, seen: Any, honest: int, spec: Mapping[str, Any]) -> None:
    """What the lens saw of so many honest rows."""
    check_fields(name, seen, SEEN)
    _check_others(name, seen, {*SEEN})
    _hold(len(seen["towards"]) == len(seen["principal"]) == honest > 0, f"{name} has other projections than rows")
    first, last = spec["byzantine"], spec["clients"]
    present = seen["clients"]
    if present is None:
        _hold(last - first == honest, f"{name} leaves out which clients there were")
        present = range(first, last)
    _hold(len(present) == honest and _rising(present, first, last), f"{name} has other clients than rows")
    lost = seen["shut_out"] or []
    _hold(_rising(lost, first, last) and set(lost) <= set(present), f"{name} shuts out who was not there")


def _check_others(name: str, content: Mapping[str, Any], known: set[str]) -> None:
    """What else there is, of another version perhaps, can be read."""
    for key in content.keys() - known:
        _hold(shallow(content[key]), f"{name} has a {key:.60} that cannot be")


def check_record(spec: Any, rounds: Any, params_sha256: Any, class_counts: Any) -> None:
    """Raise InputError unless a finished run can have this record."""
    check_spec(spec)
    check_rounds(rounds, spec)
    _hold(is_sha256(params_sha256), "params_sha256 is no SHA-256")
    _hold(len(rounds) == spec["rounds"], f"it has {len(rounds)} of {spec['rounds']} rounds")
    _hold(rounds[-1]["accuracy"] is not None, "its last round has no accuracy")
    if class_counts is not None:
        good = type(class_counts) is list and len(class_counts) == spec["clients"] and all(map(COUNTS, class_counts))
        _hold(good, "its class counts are not one list of counts a client")
    sizes = {len(counts) for counts in class_counts or ()}
    sizes |= {len(m["lens"]["classes"]) for m in rounds if m.get("lens") and m["lens"]["classes"] is not None}
    _hold(len(sizes) < 2 and 0 not in sizes, "it has more than one number of classes")


COUNTS = listed(whole)


def _rising(numbers: Sequence[int], first: int, last: int) -> bool:
    """Whether each is larger than the one before, from `first` on and below `last`."""
    inside = not numbers or (numbers[0] >= first and numbers[-1] < last)
    return inside and all(a < b for a, b in pairwise(numbers))


def _hold(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)
