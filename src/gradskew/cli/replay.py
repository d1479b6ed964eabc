"""From the specs in records back to the command line that plays them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from .. import aggregators
from ..aggregators import MIXINGS, RULES, UserRule
from ..attacks import ATTACKS, UserAttack
from ..core.errors import InputError, unknown
from ..core.grammar import parse, parse_one
from ..core.options import options_of
from ..core.presets import PRESETS
from ..data import SOURCES, FileSource
from ..federation.optimizer import SGD
from ..federation.options import Options
from ..models import MODELS
from ..report.table import with_options
from ..runs.record import Record
from ..runs.settings import COMMON

ALWAYS = ("clients", "sampled", "byzantine", "rounds", "epochs", "batch", "lr", "momentum")  # differ by data set


def command(records: Sequence[Record]) -> str | None:
    """The `gradskew bench` line that plays these records of one federation again, from their specs alone.

    It runs the smallest grid of attacks, rules and seeds that holds them all. FOLDER is where the data are. None where
    no line has these runs: for attacks, rules and networks given as Python objects.
    """
    spec = records[0].spec
    try:
        source = SOURCES.find(parse_one(spec["dataset"], "dataset")[0])
    except InputError:
        return None
    preset = _preset(records)
    model = _model(spec)
    if source is None or preset is None or model is None or spec["sgd"]["clip"] is None or "server" in spec:
        return None
    given: dict[str, Any] = {"dataset": spec["dataset"]}
    if issubclass(source, FileSource):
        given["data"] = "FOLDER"
    given |= {"partition": with_options(spec["partition"]), "model": model}
    settings = {**spec, **spec["sgd"]}
    given |= {key: settings[key] for key in ALWAYS if key != "sampled" or "sampled" in spec}
    for field, known in options_of(Options, SGD):
        value = settings.get(field.name, field.default)
        if known.help and known.digest != "apart" and field.name not in given and value != field.default:
            given[field.name] = value
    given |= {} if preset == COMMON["preset"] else {"preset": preset}
    for option, key in (("attacks", "attack_name"), ("aggregators", "aggregator_name")):
        given[option] = ",".join(dict.fromkeys(record.spec[key] for record in records))
    given["seeds"] = _seeds(sorted({record.spec["seed"] for record in records}))
    words = [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    return shlex.join(["gradskew", "bench", *words, *_lens(spec)])


def _preset(records: Sequence[Record]) -> str | None:
    """The preset under which the names mean what they meant; None if an attack or rule has no name at all.

    Whatever a record says, nobody's code is imported for it.
    """
    federation = {key: records[0].spec[key] for key in ("redraw_knowledge", "buffers")}
    plain = {key: getattr(Options, key) for key in federation}
    made = {(r.spec["attack_name"], r.spec["aggregator_name"]): r.spec for r in records}
    for preset in PRESETS:
        try:
            names = {(_attack(spec, preset), _rule(spec, preset)) for spec in made.values()}
        except (InputError, TypeError):  # or options that this version does not know
            return None
        if names == made.keys() and {**plain, **Options.presets.get(preset, {})} == federation:
            return preset
    return None


def _attack(spec: Mapping[str, Any], preset: str) -> str:
    """The name of what the attack's name means under a preset; a user's stays as it is."""
    name: str = spec["attack_name"]
    if spec["attack"]["name"] == UserAttack.key:
        return name
    return ATTACKS.make_own(*parse_one(name, "attack"), preset=preset).name


def _rule(spec: Mapping[str, Any], preset: str) -> str:
    """The same of the rule, whose mixings a preset may change before a user's rule too."""
    name, stage = spec["aggregator_name"], spec["aggregator"]
    while "rule" in stage:
        stage = stage["rule"]
    if stage["name"] != UserRule.key:
        return _ours(name, preset)
    fields = {key: value for key, value in stage.items() if key != "name" and value != "auto"}  # torch, if that worked
    if "called" in fields:  # as records were written before
        fields["alias"] = fields.pop("called")
    own = UserRule(**fields).name
    return _ours(name.removesuffix(own) + "mean", preset).removesuffix("mean") + own


def _ours(name: str, preset: str) -> str:
    """The name of what a pipeline of ours means under a preset."""
    for key, _ in parse(name):
        if key not in [*RULES, *MIXINGS]:
            raise unknown("aggregator", key, [*RULES, *MIXINGS])
    return aggregators.make(name, preset=preset).name


def _model(spec: Mapping[str, Any]) -> str | None:
    """The model as it is written; a user's by the path of its function, the only code of a user without a colon."""
    model = spec["model"]
    if model["name"] in MODELS:
        return with_options(model)
    code = [name for name in spec.get("user_code", {}) if "." in name and ":" not in name]
    if model["name"] != "user" or len(code) != 1:
        return None
    module, _, function = code[0].rpartition(".")
    return f"{module}:{function}" + ("(vectorised=True)" if model.get("vectorised") else "")


def _seeds(seeds: Sequence[int]) -> str:
    """`3` for 0, 1 and 2; else the list, with a comma at its end if it has one entry."""
    if list(seeds) == list(range(len(seeds))):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def _lens(spec: Mapping[str, Any]) -> list[str]:
    if "lens" not in spec:
        return ["--no-lens"]
    return ["--pictures", ",".join(map(str, spec["pictures"])) or "none"] if "pictures" in spec else []
