"""Typed structs with ranges for specs, rounds and records. Content with a valid checksum may still be invalid.

The spec of a run is checked before the run starts, so that every stored record can be read. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert

from ..core.errors import InputError, check
from .metrics import LARGEST, LEAST, LensMetrics, Positive, Round, Sha256, Share, Whole, check_least
from .schedule import rounds_of

LAST = 5  # number of last rounds, at most, over which the reported accuracy is averaged; all of them are tested
LENS = 2  # version of the lens: increases when what it measures changes
SEMANTICS = 2  # version of definitions and arithmetic: increases when one changes, so that no old record matches

LONGEST = 10_000  # largest number of characters of a name or an option
DEEPEST = 200  # largest depth of nested stages of a rule


class Part(Struct):
    """A model, a partition or an attack; `check_spec` checks its options, of any name."""

    name: str


class Stage(Part):
    """A rule, or a mixing with the stage behind it."""

    mixing: Part | UnsetType = UNSET
    rule: Any = None

    def __post_init__(self) -> None:
        if self.mixing is not UNSET:
            _typed("the rule behind a mixing", self.rule, Stage)


class Training(Part):
    """The options of local training. clip: a number or None."""

    lr: float
    momentum: float
    weight_decay: float
    clip: Any
    epochs: Positive
    batch: Positive
    local_steps: Positive | UnsetType = UNSET


class Spec(Struct):
    """The entries of every spec, and those with defaults. `check_spec` checks entries of other versions."""

    dataset: str
    data_sha256: Sha256
    partition: Part
    model: Part
    attack: Part
    attack_name: str
    aggregator: Stage
    aggregator_name: str
    clients: Positive
    sampled: Positive
    byzantine: Whole
    rounds: Positive
    sgd: Training
    knowledge: Share
    redraw_knowledge: bool
    told: str
    buffers: str
    seed: Annotated[int, Meta(ge=0)]
    engine: str
    device: str
    threads: Positive
    precision: str
    torch: str
    numpy: str
    semantics: Whole
    evaluate_every: Positive = 1
    attack_rounds: str = "::"
    rows: str = "update"
    worker_momentum: Share = 0
    local: Part | UnsetType = UNSET
    server: Part | UnsetType = UNSET
    lens: Whole = 0
    pictures: list[Whole] = []
    user_code: dict[str, Sha256] = {}

    def __post_init__(self) -> None:
        few = self.byzantine < self.clients >= self.sampled
        check(few, "it has more Byzantine or sampled clients than clients")
        rounds_of(self.attack_rounds)


def is_text(value: Any) -> bool:
    """Return whether a value is a printable text of one line."""
    return isinstance(value, str) and len(value) <= LONGEST and value.isprintable()


def is_measured(value: Any) -> bool:
    """Return whether a value is 0 or a number from LEAST to LARGEST."""
    return type(value) in (int, float) and (value == 0 or LEAST <= value <= LARGEST)


TIMING: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("seconds", "rounds_per_second", "peak_memory_mb"), is_measured),
    **dict.fromkeys(("finished", "device", "system", "gradskew", "python", "torch"), is_text),
}


def all_leaves(value: Any, test: Callable[[Any], bool], depth: int = 0) -> bool:
    """Return whether a JSON value is nested at most DEEPEST deep, and all its keys and leaves pass the test."""
    if type(value) not in (dict, list, tuple):
        return test(value)
    keys, inside = (value, value.values()) if type(value) is dict else ((), value)
    named = all(isinstance(key, str) and test(key) for key in keys)
    return named and depth < DEEPEST and all(all_leaves(entry, test, depth + 1) for entry in inside)


def is_setting(value: Any) -> bool:
    """Return whether a spec may have a value: None, a bool, a number, a text, or lists and objects of these."""
    return all_leaves(value, lambda leaf: leaf is None or type(leaf) in (bool, int, float) or is_text(leaf))


def is_shallow(value: Any, depth: int = 0) -> bool:
    """Return whether a JSON value is nested at most DEEPEST deep, so that it can be read again."""
    if not value or type(value) not in (dict, list):
        return True
    inside = value.values() if type(value) is dict else value
    nested = [entry for entry in inside if type(entry) in (dict, list)]
    return depth < DEEPEST and all(is_shallow(entry, depth + 1) for entry in nested)


def check_spec(spec: Any) -> None:
    """Raise InputError unless a run may have this spec."""
    for key, value in spec.items() if type(spec) is dict else ():
        check(is_text(key) and is_setting(value), f"the spec has a setting that cannot be: {key!r:.60}")
    _typed("the spec", spec, Spec)


def check_rounds(rounds: Any, spec: Mapping[str, Any]) -> list[Round]:
    """Return the rounds, typed; raise InputError unless they can be the first rounds of a run with this spec."""
    check(type(rounds) is list and len(rounds) <= spec["rounds"], "it has more rounds than its spec")
    made = [_round(number, metrics, spec) for number, metrics in enumerate(rounds)]
    check_least(made)
    return made


def check_record(
    spec: Any,
    rounds: Any,
    params_sha256: Any,
    class_counts: Any,
    test_size: Any = None,
    data: Any = (),
    test_counts: Any = None,
) -> list[Round]:
    """Return the rounds, typed; raise InputError unless they can be the record of a finished run."""
    check_spec(spec)
    made = check_rounds(rounds, spec)
    check(len(made) == spec["rounds"], f"it has {len(made)} of {spec['rounds']} rounds")
    check(made[-1].accuracy is not None, "its last round has no accuracy")
    _typed("params_sha256", params_sha256, Sha256)
    _typed("test_size", test_size, Positive | None)
    tested = _typed("test_counts", test_counts, list[Whole] | None)
    check(tested is None or sum(tested) == test_size, "its test counts do not sum to its test size")
    sentences = _typed("data", data, list[str])
    check(all(map(is_text, sentences)), "what it says of the data is no printable text")
    counts = _typed("class_counts", class_counts, list[list[Whole]] | None)
    check(counts is None or len(counts) == spec["clients"], "its class counts are not one list of counts a client")
    sizes = {len(of_client) for of_client in [*(counts or ()), *([] if tested is None else [tested])]}
    sizes |= {
        len(each.lens.classes) for each in made if isinstance(each.lens, LensMetrics) and each.lens.classes is not None
    }
    check(len(sizes) < 2 and 0 not in sizes, "it has more than one number of classes")
    return made


def _round(number: int, metrics: Any, spec: Mapping[str, Any]) -> Round:
    """Return a round, typed, after a check of its metrics against each other and the spec."""
    name = f"round {number}"
    made: Round = _typed(name, metrics, Round)
    for key, value in (("attack", made.attack), ("rule", made.rule), *made.keep_others(metrics).items()):
        if not is_shallow(value):
            raise InputError(f"{name} has a {key!r:.60} that cannot be")
    if made.round != number:
        raise InputError(f"{name} is called {made.round}")
    honest = made.rows - made.byzantine_rows
    if honest < 0 or made.rows + made.rejected != spec["sampled"]:
        raise InputError(f"{name} has other rows")
    if (made.lens is not UNSET) != ("lens" in spec):
        raise InputError(f"{name} and the spec differ on the lens")
    if isinstance(made.lens, LensMetrics):
        for key, value in made.lens.keep_others(metrics["lens"]).items():
            check(is_shallow(value), f"the lens in {name} has a {key!r:.60} that cannot be")
        if wrong := _wrong_lens(made.lens, honest, spec["byzantine"], spec["clients"]):
            raise InputError(f"the lens in {name} {wrong}")
    return made


def _wrong_lens(lens: LensMetrics, honest: int, first: int, last: int) -> str:
    """Return what is wrong with the measures of the lens, "" if nothing is.

    honest: the number of honest rows. The honest clients are numbered from first on and below last.
    """
    if not len(lens.towards) == len(lens.principal) == honest > 0:
        return "has other projections than rows"
    present, lost = lens.clients, lens.shut_out or []
    if present is None and last - first != honest:
        return "does not list its clients"
    if present is not None and not (len(present) == honest and _rising(present, first, last)):
        return "has other clients than rows"
    known = _rising(lost, first, last) and (present is None or {*lost} <= {*present})
    return "" if known else "shuts out a client that has no row"


def _typed(name: str, content: Any, kind: Any) -> Any:
    """Return the content converted to a type; InputError for what is missing, of another type or out of range."""
    try:
        return convert(content, kind)
    except (ValidationError, UnicodeEncodeError) as error:  # a key with half a surrogate pair is no text
        raise InputError(f"{name}: {error}") from None


def _rising(numbers: Sequence[int], first: int, last: int) -> bool:
    """Return whether the numbers rise strictly, from `first` on and below `last`."""
    return not numbers or (numbers[0] >= first and numbers[-1] < last and sorted({*numbers}) == numbers)
