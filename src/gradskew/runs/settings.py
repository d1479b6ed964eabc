"""From the strings that a user writes to runs: the options of `bench`, their defaults per data set, the TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from .. import aggregators, attacks, data, models
from ..aggregators import Aggregator
from ..attacks import Attack
from ..core.errors import InputError, check, check_number, unknown
from ..core.grammar import split_list
from ..core.options import options_of
from ..core.presets import check_preset
from ..data import partition
from ..federation.computing import computing
from ..federation.memory import check_fits
from ..federation.optimizer import SGD
from ..federation.options import Options
from ..federation.root_data import deal, hold_out
from ..federation.run import Run
from .sweeps import grid

T = TypeVar("T")
MOST = 1_000_000  # rounds, epochs or images in a batch: more is a slip of the keyboard

# The options that are a field, with their defaults, and those that name objects. A data set's recipe counts over them.
COMMON: Mapping[str, Any] = {
    **{field.name: field.default for field, known in options_of(Options, SGD) if known.help},
    "dataset": "digits",
    "model": "mlp",
    "attacks": ",".join(attacks.names()),
    "aggregators": ",".join(aggregators.names()),
    "preset": "paper",
    "seeds": "1",
}


def read_config(path: Path, known: Iterable[str]) -> dict[str, str]:
    """Return the settings in a TOML file, as the text that the command line takes."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the config file {str(path)!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number of thousands of digits, deep nesting
        raise InputError(f"{str(path)!r} is not valid TOML: {error}") from None
    listed = list(known)
    for key in content:
        if key not in listed:
            raise unknown(f"key in {str(path)!r}:", key, listed)
    return {key: _text(key, value) for key, value in content.items()}


def _text(key: str, value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_text(key, entry) for entry in value) + ("," if key == "seeds" and len(value) == 1 else "")
    good = isinstance(value, (str, int, float))
    check(good, f"the config key {key!r} takes a number, a string, true, false or a list of them, not {value!r}")
    check("\0" not in str(value), f"the config key {key!r} has a null character")
    return str(value)


def make_runs(given: Mapping[str, Any]) -> list[Run]:
    """Return the grid of runs for these options; one that is missing or None has its default."""
    chosen = {key: value for key, value in given.items() if value is not None}
    dataset, folder = str(chosen.get("dataset", COMMON["dataset"])), chosen.get("data")
    source = data.make(dataset, folder=folder, download=chosen.get("download", False))
    options = {**COMMON, "partition": source.partition, **source.recipe, **chosen}
    sent, rules, seeds = make_methods(options)
    for key in ("rounds", "epochs", "batch"):
        check_number(key, options[key], at_least=1, at_most=MOST, whole=True)
    dealt = _partition(options, source)
    if isinstance(dealt, partition.ByWriter) and "clients" not in chosen:
        held = options["root_examples"]
        options["clients"] = dealt.writers(hold_out(source.load(), held)[0] if held else source.load())
    if options["sampled"] is not None and "sampled" not in chosen:
        options["sampled"] = min(options["sampled"], options["clients"])
    options["pictures"] = _pictures(options["pictures"])
    plain = {field.name: options[field.name] for field, known in options_of(Options) if known.help}
    base = Run(
        source=source,
        partition=dealt,
        model=models.make(options["model"]),
        sgd=SGD(**{field.name: options[field.name] for field, _ in options_of(SGD)}),
        **plain,
        **Options.presets.get(options["preset"], {}),
    )
    images = source.load()  # an impossible partition or network is an error now, not in every run
    deal(replace(base, seed=0), images)
    if base.device == "cpu":
        check_fits([base])
    with computing(base):
        models.initial(base.model, images.shape, images.num_classes, base.seed)
    return grid(base, attacks=sent, aggregators=rules, seeds=seeds)


def make_methods(given: Mapping[str, Any]) -> tuple[list[Attack], list[Aggregator], list[int]]:
    """Return the attacks, rules and seeds that the options name: none where one is None or missing, but the seed 0."""
    options = {"preset": COMMON["preset"], "seeds": COMMON["seeds"]}
    options |= {key: value for key, value in given.items() if value is not None}
    check_preset(options["preset"])
    sent = _objects("attacks", options, attacks.make)
    return sent, _objects("aggregators", options, aggregators.make), _seeds(str(options["seeds"]))


def _objects(key: str, options: Mapping[str, Any], make: Callable[..., T]) -> list[T]:
    if key not in options:
        return []
    made = [make(name, preset=options["preset"]) for name in split_list(options[key], key)]
    check(len(set(made)) == len(made), f"an entry is given twice in {key}: {options[key][:80]!r}")
    return made


def _partition(options: Mapping[str, Any], source: data.Source) -> partition.Partition:
    defaults: dict[str, Any] = {"min_samples": source.min_samples}
    given = {key: options[key] for key in ("beta", "min_samples") if key in options}
    made = partition.make(options["partition"], **{**defaults, **given})
    for key, value in given.items():
        known = getattr(made, key, None)
        check(known is not None, f"{key} belongs to the dirichlet partition, not to {made.name}")
        check(known == value, f"{key} is given twice: {value} and, in {options['partition']!r}, {known}")
    return made


def _pictures(text: str | None) -> tuple[int, ...] | None:
    """Return the rounds, counted from 0, that a text such as `0,30` names; none for `none`, None for None."""
    if text is None or text == "none":
        return None if text is None else ()
    parts = split_list(text, "pictures")
    good = all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts)
    check(good, f"pictures is none, or a comma-separated list of rounds, not {text!r}")
    return tuple(map(int, parts))


def _seeds(text: str) -> list[int]:
    """Return the seeds that a text names: 0, 1, 2 for `3`; a list names them, such as `0,7`, or `7,` for one."""
    parts = split_list(text.removesuffix(","), "seeds")
    wrong = InputError(f"seeds is a count, or a comma-separated list of whole numbers, not {text!r}")
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise wrong
    numbers = [int(part) for part in parts]
    check(len(set(numbers)) == len(numbers), f"a seed is given twice in {text[:80]!r}")
    if "," in text:
        return numbers
    check_number("seeds", numbers[0], at_least=1, at_most=10_000, whole=True)
    return list(range(numbers[0]))
