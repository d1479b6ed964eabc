"""Make runs from a user's options as strings: the options of `bench`, the defaults of a data set, the TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from .. import aggregators, attacks, data, models
from ..aggregators import Aggregator
from ..attacks import Attack
from ..core.errors import InputError, check, check_number, unknown, warn
from ..core.grammar import split_list
from ..core.options import options_of
from ..core.presets import check_preset
from ..data import partition
from ..federation.computing import computing
from ..federation.held_out import deal, hold_out
from ..federation.loss import LOSSES
from ..federation.memory import check_fits
from ..federation.network import check_outputs, make_network
from ..federation.optimizer import SGD
from ..federation.options import Options
from ..federation.run import Run
from .grids import check_told_apart, grid
from .listed import split_names

T = TypeVar("T")
MOST = 1_000_000  # largest number of rounds, epochs or inputs in a batch: more is a typing error

# The defaults of the options that are fields, and of those that name objects. The recipe of a data set overrides them.
COMMON: Mapping[str, Any] = {
    **{field.name: field.default for field, known in options_of(Options, SGD) if known.help},
    "dataset": "digits",
    "model": "mlp",
    "local": "fedavg",
    "server": "fedavg",
    "attacks": "paper",
    "rules": "paper",
    "preset": "paper",
    "seeds": "1",
}

OPTIONS = [*COMMON, "data", "download", "partition", "beta", "min_samples"]
ALIASES: Mapping[str, str] = {"attack": "attacks", "rule": "rules", "aggregator": "rules", "aggregators": "rules"}


def by_name(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under their names, without those that are None; InputError where two aliases of one are given."""
    settings: dict[str, Any] = {}
    for key, value in given.items():
        if value is not None:
            name = ALIASES.get(key, key)
            check(name not in settings, f"{name} is given twice: {key} is the same setting")
            settings[name] = value
    return settings


def check_names(function: str, given: Iterable[str]) -> None:
    """Raise InputError unless all names are those of options. function: the one that was called, for the message."""
    for option in given:
        if ALIASES.get(option, option) not in OPTIONS:
            raise unknown(f"option of {function}", option, OPTIONS)


def read_config(path: Path, known: Iterable[str]) -> dict[str, str]:
    """Return the settings in a TOML file, as text for the command line. known: the allowed keys."""
    data = "" if path.suffix == ".toml" else " (a data set is named by --dataset)"
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the config file {str(path)!r}: {error.strerror}{data}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number of thousands of digits, deep nesting
        raise InputError(f"{str(path)!r} is not valid TOML: {error}{data}") from None
    listed = list(known)
    for key in content:
        if ALIASES.get(key, key) not in listed:
            raise unknown(f"key in {str(path)!r}:", key, listed)
    return {key: _text(key, value) for key, value in by_name(content).items()}


def _text(key: str, value: Any) -> str:
    if isinstance(value, list):
        check(not any(isinstance(entry, list) for entry in value), f"the config key {key!r} has a list in its list")
        return ",".join(_text(key, entry) for entry in value) + ("," if key == "seeds" and len(value) == 1 else "")
    good = isinstance(value, (str, int, float))
    check(good, f"the config key {key!r} takes a number, a string, true, false or a list of them, not {value!r}")
    check("\0" not in str(value), f"the config key {key!r} has a null character")
    return str(value)


def make_runs(given: Mapping[str, Any]) -> list[Run]:
    """Return the grid of runs for these options; an option that is missing or None has its default.

    Each value is the text of the command line, or what that stands for: a list, a number, an object, a function.
    """
    chosen = by_name(given)
    dataset, folder = chosen.get("dataset", COMMON["dataset"]), chosen.get("data")
    folder = None if folder is None else Path(folder)
    source = data.make(dataset, folder=folder, download=chosen.get("download", False))
    options = {**COMMON, "partition": source.partition, **source.recipe, **chosen}
    if "beta" in chosen and "partition" not in chosen:
        options["partition"] = "dirichlet"
    methods, rules, seeds = make_methods({**options, "seeds": chosen.get("seeds")})
    if options["local_steps"] is not None and "epochs" not in chosen:
        options["epochs"] = SGD.epochs  # those of a recipe do not count
    for key in ("rounds", "epochs", "batch", "local_steps"):
        if key != "local_steps" or options[key] is not None:
            check_number(key, options[key], at_least=1, at_most=MOST, whole=True)
    both = f"epochs = {options['epochs']} and local_steps = {options['local_steps']} are both given: choose one"
    check("epochs" not in chosen or options["local_steps"] is None, both)
    split = _partition(options, source)
    own = isinstance(split, partition.ByWriter) or source.partition == partition.ByWriter.key
    if own and "clients" not in chosen:  # as many as the data have, also where their rows are dealt anew
        pool, _, _ = hold_out(source.load(), options["root_examples"], options["validation"])
        options["clients"] = partition.ByWriter().writers(pool)
    if options["sampled"] is not None and "sampled" not in chosen:
        options["sampled"] = min(options["sampled"], options["clients"])
    options["pictures"] = _pictures(options["pictures"])
    plain = {field.name: options[field.name] for field, known in options_of(Options) if known.help}
    base = Run(
        source=source,
        partition=split,
        model=models.make(options["model"]),
        sgd=SGD(**{field.name: options[field.name] for field, _ in options_of(SGD)}),
        local=options["local"],
        server=options["server"],
        **plain,
        **Options.presets.get(options["preset"], {}),
    )
    if not LOSSES[base.loss].by_class:
        methods = _without_labels(methods, base.loss)
    loaded = source.load()  # an impossible partition or network is an error now, not in every run
    for method in methods:
        method.check_setting("simulation", classes=loaded.num_classes)
    deal(replace(base, seed=0), loaded)
    if base.device == "cpu":
        check_fits([base])
    with computing(base):
        dataset = loaded.to(base.device)
        check_outputs(base, make_network(base, dataset), dataset)
    if base.num_sampled == base.clients:  # else the number of Byzantine rows varies, and the rule's f is clamped
        rules = _tolerated(rules, base.num_byzantine, base.clients, leave_out="all" in str(options["rules"]).split(","))
    return grid(base, attacks=methods, aggregators=rules, seeds=seeds)


def _tolerated(rules: Iterable[Aggregator], f: int, n: int, *, leave_out: bool) -> list[Aggregator]:
    """Return the rules that tolerate f Byzantine rows of n; a rule without defence does.

    leave_out: leave the others out with a line each, as `all` asks for; else raise InputError for the first of them.
    """
    kept = []
    for rule in rules:
        bound = n if rule.baseline else rule.max_f(n)
        line = f"{rule.name} tolerates at most {bound} of {n} clients, not {f}"
        check(f <= bound or leave_out, f"byzantine: {line}; leave it out or try fewer")
        if f <= bound:
            kept.append(rule)
        else:
            warn(f"gradskew: {line}: it is left out")
    return kept


def _without_labels(methods: Sequence[Attack], loss: str) -> list[Attack]:
    """Return the attacks that do not change labels, on which this loss does not train; the others get a line each.

    If no attack would be left, all are returned, and their runs are refused.
    """
    kept = [each for each in methods if not each.relabels()]
    if all(each.name == "none" for each in kept):
        return list(methods)
    for each in methods:
        if each.relabels():
            warn(f"gradskew: {each.name} changes labels, and loss = {loss} does not train on them: it is left out")
    return kept


def make_methods(given: Mapping[str, Any]) -> tuple[list[Attack], list[Aggregator], list[int]]:
    """Return the attacks, rules and seeds of the options; for an option that is missing or None, none, and seed 0.

    The attacks of `worst` have the seeds 0, 1 and 2 if none are given.
    """
    options = {"preset": COMMON["preset"], **by_name(given)}
    check_preset(options["preset"])
    methods = _objects("attacks", options, attacks.make)
    default = attacks.WORST_SEEDS if _has_worst(methods, options["preset"]) else COMMON["seeds"]
    return methods, _objects("rules", options, aggregators.make), _seeds(options.get("seeds", default))


def _has_worst(methods: Iterable[Attack], preset: str) -> bool:
    """Return whether attacks have all that `worst` stands for, whatever the other options of its searches."""
    searches = {attacks.Adaptive(aim=each.aim, cap=None).name for each in methods if isinstance(each, attacks.Adaptive)}
    names = searches | {each.name for each in methods}
    return names >= {attacks.make(name, preset=preset).name for name in attacks.WORST}


def _objects(key: str, options: Mapping[str, Any], make: Callable[..., Any]) -> list[Any]:
    """Return the objects of an option: a comma-separated list of names, one object or function, or a list of them."""
    if key not in options:
        return []
    given = options[key]
    entries = split_names(given, key) if isinstance(given, Iterable) else [given]
    made = [make(entry, preset=options["preset"]) for entry in entries]
    check(len(made) > 0, f"{key} is an empty list")
    check_told_apart(key, made)
    names = [each.name for each in made]
    for name in names:
        check(names.count(name) == 1, f"an entry is given twice in {key}: {name!r}")
    return made


def _partition(options: Mapping[str, Any], source: data.Source) -> partition.Partition:
    defaults: dict[str, Any] = {"min_samples": source.min_samples}
    given = {key: options[key] for key in ("beta", "min_samples") if key in options}
    made = partition.make(options["partition"], **{**defaults, **given})
    for key, value in given.items():
        known = getattr(made, key, None)
        check(known is not None, f"the partition {made.name} has no {key}; dirichlet has")
        check(known == value, f"{key} is given twice: {value} and, in {options['partition']!r}, {known}")
    return made


def _pictures(text: str | Iterable[int] | None) -> tuple[int, ...] | None:
    """Return the rounds in a text such as `0,30`, counted from 0; an empty tuple for `none`, None for None."""
    if text is None or text == "none":
        return None if text is None else ()
    if not isinstance(text, str):
        return tuple(text)
    parts = split_list(text, "pictures")
    good = all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts)
    check(good, f"pictures is none, or a comma-separated list of rounds, not {text!r}")
    return tuple(map(int, parts))


def _seeds(given: str | int | Iterable[int]) -> list[int]:
    """Return the seeds in a text: 0, 1, 2 for the count `3`; 0, 7 for the list `0,7`; 7 for the list `7,`."""
    listed = [] if isinstance(given, str) or not isinstance(given, Iterable) else [*map(str, given)]
    text = f"{','.join(listed)}," if listed else str(given)
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
