"""Stored records again, from their specs: the command line that runs them, and the run of one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import aggregators, attacks, data, models
from ..aggregators import MIXINGS, RULES, UserRule
from ..attacks import ATTACKS, UserAttack
from ..core.catalogue import Catalogue
from ..core.errors import InputError, check
from ..core.grammar import PATH, parse, parse_one, split_last, with_options
from ..core.names import canonical, options
from ..core.options import options_of
from ..core.presets import PRESETS
from ..data import PARTITIONS, SOURCES, FileSource, partition
from ..federation.catalogue import SERVERS, VARIANTS
from ..federation.optimizer import SGD
from ..federation.options import Options
from ..federation.run import Run
from ..models import MODELS, UserModel
from ..runs.record import Record
from ..runs.settings import COMMON

ALWAYS = ("clients", "sampled", "byzantine", "rounds", "epochs", "batch", "lr", "momentum")  # defaults by data set
CATALOGUES: Mapping[str, Catalogue[Any]] = {"local": VARIANTS, "server": SERVERS}
IN_WORDS = {  # entries of a spec whose values say nothing to a reader
    "data_sha256": "the data",
    "semantics": "the version of the definitions",
    "lens": "the version of the lens",
    "user_code": "code of your own or of flwr-datasets, which was changed",
}


def command(records: Sequence[Record]) -> str | None:
    """Return the `gradskew bench` line that runs these records of one federation again, from their specs alone.

    It runs the smallest grid of attacks, rules and seeds that contains them all; FOLDER or PATH stands for where the
    data are. None if an attack, a rule or a network was given as a Python object: a command line cannot name it.
    """
    spec = records[0].spec
    try:
        name, chosen = parse_one(spec["dataset"], "dataset")
        source = SOURCES.find(name)
    except InputError:
        return None
    preset = _preset(records)
    model = _model(spec)
    if source is None or preset is None or model is None or spec["partition"]["name"] not in PARTITIONS:
        return None
    if spec["sgd"]["clip"] is None or not _is_named(spec):
        return None
    given: dict[str, Any] = {"dataset": spec["dataset"]}
    if "hub" not in chosen and any(field.name == "folder" for field in options(source)):
        given["data"] = "FOLDER" if issubclass(source, FileSource) else "PATH"
    given |= {"partition": with_options(spec["partition"]), "model": model}
    settings = {**spec, **spec["sgd"]}
    given |= {key: settings[key] for key in ALWAYS if key != "sampled" or "sampled" in spec}
    given |= {key: with_options(spec[key]) for key in CATALOGUES if key in spec}
    if "local_steps" in settings:
        del given["epochs"]
    for field, known in options_of(Options, SGD):
        value = settings.get(field.name, field.default)
        if known.help and known.digest != "apart" and field.name not in given and value != field.default:
            given[field.name] = value
    given |= {} if preset == COMMON["preset"] else {"preset": preset}
    for option, key in (("attacks", "attack_name"), ("rules", "aggregator_name")):
        given[option] = ",".join(dict.fromkeys(record.spec[key] for record in records))
    given["seeds"] = _seeds(sorted({record.spec["seed"] for record in records}))
    words = ["gradskew", "bench"]
    switches = {field.name for field, _ in options_of(Options) if field.default is False}
    for key, value in given.items():
        words += [f"--{key.replace('_', '-')}", *([] if key in switches else [str(value)])]
    return shlex.join([*words, *_lens(spec)])


def same_run(record: Record, folder: Path | None = None, *, download: bool = False, dataset: str | None = None) -> Run:
    """Return the run of a record. folder, download: as in `data.make`. dataset: its name, if not that in the record.

    A user's code is imported by its path. Raises InputError if the run cannot be made from the names in the record, or
    is another one here: of other data, say, or another version of torch.
    """
    try:
        run = run_of({**record.spec, "dataset": dataset or record.spec["dataset"]}, folder, download=download)
        content = json.loads(canonical(run.content))
    except (InputError, TypeError) as error:  # TypeError: of options that this version does not have
        raise InputError(f"the run cannot be made again from its record: {error}") from None
    values = {key: (record.spec.get(key), content.get(key)) for key in {**record.spec, **content}}
    parts = [
        IN_WORDS.get(key, f"{key} ({then!r:.50} in the record, {now!r:.50} here)")
        for key, (then, now) in values.items()
        if then != now
    ]
    check(run.digest == record.digest, f"the run would differ from its record in {', '.join(parts)}")
    return run


def run_of(spec: Mapping[str, Any], folder: Path | None = None, *, download: bool = False) -> Run:
    """Return the run that a spec describes, made from the names in it; its digest may be another one."""
    model = _model(spec)
    if model is None or not _is_named(spec):
        part = "network" if model is None else "local variant or server optimiser"
        raise InputError(f"its {part} was given as a Python object")
    plain = {field.name: spec.get(field.name, field.default) for field, _ in options_of(Options)}
    named = {key: with_options(spec[key]) for key in CATALOGUES if key in spec}
    return Run(
        source=data.make(spec["dataset"], folder=folder, download=download),
        partition=partition.make(with_options(spec["partition"])),
        model=models.make(model),
        attack=attacks.make(spec["attack_name"]),
        aggregator=aggregators.make(spec["aggregator_name"]),
        sgd=SGD(**{field.name: spec["sgd"].get(field.name, field.default) for field, _ in options_of(SGD)}),
        **{**plain, **named, "lens": "lens" in spec},
    )


def _is_named(spec: Mapping[str, Any]) -> bool:
    """Return whether the local variant and the server optimiser are gradskew's own, which names describe."""
    return all(spec[key]["name"] in catalogue for key, catalogue in CATALOGUES.items() if key in spec)


def _preset(records: Sequence[Record]) -> str | None:
    """Return the preset under which the recorded names give the recorded methods; None if no preset does.

    A record may come from anybody, so no user's code is imported.
    """
    federation = {key: records[0].spec[key] for key in ("redraw_knowledge", "buffers")}
    plain = {key: getattr(Options, key) for key in federation}
    specs = {(r.spec["attack_name"], r.spec["aggregator_name"]): r.spec for r in records}
    for preset in PRESETS:
        try:
            names = {(_attack(spec, preset), _rule(spec, preset)) for spec in specs.values()}
        except (InputError, TypeError):  # of unknown names, or of options that this version does not have
            return None
        if names == specs.keys() and {**plain, **Options.presets.get(preset, {})} == federation:
            return preset
    return None


def _attack(spec: Mapping[str, Any], preset: str) -> str:
    """Return the full name of the attack under a preset; a user's attack keeps its name."""
    name: str = spec["attack_name"]
    attack = spec["attack"]
    if UserAttack.key in (part.get("name") for part in (attack, attack.get("data", {}), attack.get("model", {}))):
        return name
    return "+".join(ATTACKS.make_own(*part, preset=preset).name for part in parse(name))


def _rule(spec: Mapping[str, Any], preset: str) -> str:
    """Return the full name of the rule and its mixings under a preset; a user's rule keeps its name."""
    stage = spec["aggregator"]
    while "rule" in stage:
        stage = stage["rule"]
    *mixings, last = parse(spec["aggregator_name"])
    if stage["name"] == UserRule.key:
        check(last[0] in (stage.get("path"), stage.get("alias"), stage.get("called")), "the name is of another rule")
        own = split_last(spec["aggregator_name"], "+")[1]
    else:
        own = RULES.make_own(*last, preset=preset).name
    return "+".join([*(MIXINGS.make_own(*mixing, preset=preset).name for mixing in mixings), own])


def _model(spec: Mapping[str, Any]) -> str | None:
    """Return the model's name with its options; None for a user's model whose path the spec does not show."""
    model = spec["model"]
    if model["name"] in MODELS:
        return with_options(model)
    if "path" in model:
        return with_options(model) if PATH.fullmatch(str(model["path"])) else None
    # A spec of an earlier version has no path. `user_code` lists methods as package.module:name, functions and classes
    # as package.module.name.
    functions = [name for name in spec.get("user_code", {}) if "." in name and ":" not in name]
    functions = [name for name in functions if not name.startswith("flwr_datasets.")]  # of the partition
    if model["name"] != UserModel.key or len(functions) != 1:
        return None
    module, _, function = functions[0].rpartition(".")
    return f"{module}:{function}" + ("(vectorised=True)" if model.get("vectorised") else "")


def _seeds(seeds: Sequence[int]) -> str:
    """Return the value of --seeds: `3` for 0, 1 and 2, else the list; a single seed ends with a comma."""
    if list(seeds) == list(range(len(seeds))):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def _lens(spec: Mapping[str, Any]) -> list[str]:
    """Return the options of the lens and of its pictures."""
    if "lens" not in spec:
        return ["--no-lens"]
    return ["--pictures", ",".join(map(str, spec["pictures"])) or "none"] if "pictures" in spec else []
