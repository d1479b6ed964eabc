"""The tables of names: a method is one file, of this package, of another, or at a path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny
from tiny import Cuts, Tiny

from gradskew import aggregators, attacks, data, models
from gradskew.aggregators import MIXINGS, NNM, RULES, Mixed, MultiKrum
from gradskew.attacks import ATTACKS
from gradskew.core.catalogue import Catalogue
from gradskew.core.errors import InputError
from gradskew.core.names import options
from gradskew.core.presets import PRESETS
from gradskew.data import PARTITIONS, SOURCES, Digits, FashionMNIST, partition
from gradskew.data.own_source import CONVOLVED, TABULAR, WRITTEN, OwnSource
from gradskew.federation.catalogue import make_server, make_variant
from gradskew.federation.local import Plain
from gradskew.federation.options import Options
from gradskew.federation.server import FedAvg
from gradskew.models import MLP, MODELS, UserModel
from gradskew.runs.settings import make_runs

TABLES = [ATTACKS, RULES, MIXINGS, SOURCES, PARTITIONS, MODELS]
ROOMS = {"attack": attacks, "rule": aggregators, "mixing": aggregators, "dataset": data, "model": models}

BASE = """
from dataclasses import dataclass
from gradskew.core.names import Named

class Gadget(Named):
    pass
"""
METHOD = """
from __future__ import annotations
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from .base import Gadget

class Between(Gadget):
    pass

class Helper:
    key: ClassVar[str] = "helper"

@dataclass(frozen=True, kw_only=True)
class Sprocket(Between):
    key: ClassVar[str] = "sprocket"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"teeth": 9}}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cog": {"teeth": 3}}
    teeth: int = 5
    inner: Gadget | None = None

@dataclass(frozen=True, kw_only=True)
class Cam(Gadget):
    key = "cam"
"""


@pytest.fixture
def gadgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A room with two methods in one file, and nothing else that names them."""
    room = tmp_path / "gadget_room"
    room.mkdir()
    for name, text in (("__init__", ""), ("base", BASE), ("sprocket", METHOD)):
        (room / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("gadget_room", "gadget_room.base", "gadget_room.sprocket"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return Catalogue("gadget", "gadget_room", "Gadget", first=("sprocket", "gone"))


def test_a_method_is_one_file(gadgets: Catalogue) -> None:
    assert list(gadgets) == ["sprocket", "cam"]
    assert "gadget_room.sprocket" not in sys.modules, "names are read without an import"
    made = gadgets.make("sprocket", {"teeth": 7})
    assert (made.key, made.teeth, made.name) == ("sprocket", 7, "sprocket(teeth=7)")
    assert gadgets.make("sprocket", {}, preset="byzfl").teeth == 9
    assert gadgets.make("sprocket", {}, defaults={"teeth": 8, "wings": 2}).teeth == 8
    assert gadgets.make("cog", {}, preset="byzfl") == gadgets.make("sprocket", {"teeth": 3})
    with pytest.raises(InputError, match="unknown gadget 'helper'; known: sprocket, cam"):
        gadgets.make("helper", {})


def test_a_method_in_an_option_is_made_from_its_name(gadgets: Catalogue) -> None:
    """The preset reaches it, and its name stands in that of the outer one."""
    made = gadgets.make("sprocket", {"teeth": 5, "inner": "Sprocket(inner=cam)"}, preset="byzfl")
    assert made.name == "sprocket(inner=sprocket(teeth=9,inner=cam))"
    assert gadgets.make("sprocket", {"inner": "sprocket(teeth=9,inner=cam)"}) == made
    with pytest.raises(InputError, match="sprocket: unknown gadget 'came'; did you mean 'cam'"):
        gadgets.make("sprocket", {"inner": "came"})


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_what_a_method_says_of_itself_is_true(table: Catalogue) -> None:
    for key, cls in table.classes.items():
        known = {field.name for field in options(cls)}
        assert vars(cls).get("presets", {}).keys() <= PRESETS.keys() - {"paper"}, key
        changed = [*vars(cls).get("presets", {}).values(), *vars(cls).get("aliases", {}).values()]
        assert all(given.keys() <= known for given in changed), key
        assert getattr(ROOMS.get(table.kind, data), cls.__name__) is cls
        if table in (ATTACKS, RULES, MIXINGS):
            assert cls.__module__.endswith(f".{key}"), "the file has the name of the method"


def test_recipes_have_only_options_of_bench() -> None:
    from gradskew.cli import cli

    known = {option.name for option in cli.commands["bench"].params}
    recipes = [cls.recipe for cls in SOURCES.classes.values() if not issubclass(cls, OwnSource)]
    for recipe in (*recipes, TABULAR, CONVOLVED, WRITTEN):  # of a user's own, by the shape of an input
        assert {"model", "rounds", "epochs", "batch", "lr", "momentum"} <= recipe.keys() <= known
        models.make(recipe["model"])


def test_the_presets_of_a_run_are_options_of_it() -> None:
    for given in Options.presets.values():
        Options(**given)


def test_case_and_hyphens_do_not_matter() -> None:
    assert aggregators.make("NNM+MultiKrum(m=2)") == Mixed(mixing=NNM(), rule=MultiKrum(m=2))
    assert attacks.make("LabelFlip") == attacks.make("labelflip")
    assert models.make("Femnist-CNN") == models.make("FemnistCNN") == models.make("femnist_cnn")
    assert data.make("Digits") == Digits()
    assert data.make("Fashion-MNIST") == data.make("FashionMNIST") == FashionMNIST()
    assert aggregators.make("Multi-Krum") == aggregators.make("multi_krum") == MultiKrum()
    assert attacks.make("Min-Max") == attacks.make("minmax")


@pytest.mark.parametrize(
    ("make", "stands_for", "typed"),
    [
        (aggregators.make, "multikrum(m=1)", "krum Krum"),
        (aggregators.make, "rbtm", "trimmed_mean trimmed-mean TrimmedMean trmean TrMean cwtm"),
        (aggregators.make, "rfa", "geometric_median GeometricMedian geomed"),
        (aggregators.make, "median", "cwmed coordinate-median CoordinateMedian"),
        (aggregators.make, "mean", "fedavg FedAvg"),
        (aggregators.make, "cclip", "centered-clipping CenteredClipping"),
        (aggregators.make, "nnm+rbtm", "nearest-neighbor-mixing+trimmed-mean"),
        (
            aggregators.make,
            "clipping(c=median)+average(a=consensus,b=dnc(b=None))",
            "consensus_dnc Consensus-DnC consensusdnc",
        ),
        (attacks.make, "lie", "alie ALIE a-little-is-enough"),
        (attacks.make, "bitflip", "signflip sign-flip SignFlip SignFlipping"),
        (attacks.make, "ipm", "inner-product-manipulation"),
        (attacks.make, "labelflip+ipm", "label-flipping+InnerProductManipulation"),
    ],
)
def test_names_that_papers_and_other_libraries_use_are_aliases(make, stands_for: str, typed: str) -> None:
    """An alias is the same object, so it has the same name, digest and record."""
    for name in typed.split():
        assert make(name) == make(stands_for), name
        assert make(name).name == stands_for


def test_a_record_has_no_aliases() -> None:
    """The name in a record is a name: a user's own rule of old may be called as an alias of today."""
    assert RULES.find("rbtm") is not None
    assert RULES.find("trimmed_mean") is None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_no_two_methods_of_a_kind_have_names_alike(table: Catalogue) -> None:
    names = [*table, *table.meanings]
    assert len({name.lower().replace("_", "") for name in names}) == len(names)
    kin = {"rule": MIXINGS, "mixing": RULES}.get(table.kind, ())
    assert not any(name in kin for name in names)


def test_an_alias_is_what_it_stands_for() -> None:
    assert aggregators.make("krum").name == "multikrum(m=1)"
    byzfl = aggregators.make("nnm+Krum", preset="byzfl")
    assert byzfl == Mixed(mixing=NNM(), rule=MultiKrum(m=1, neighbours="n-f-1"))


@pytest.mark.parametrize(
    ("make", "base"),
    [
        (attacks.make, attacks.NoAttack),
        (aggregators.make, aggregators.Median),
        (models.make, MLP),
        (data.make, Digits),
        (partition.make, partition.IID),
        (make_variant, Plain),
        (make_server, FedAvg),
    ],
)
def test_an_object_of_a_class_that_inherits_a_key_is_refused(make, base: type) -> None:
    """Records, tables and an examination would take a subclass of "no attack" for no attack."""
    mine = type("Mine", (base,), {})
    with pytest.raises(InputError, match=rf"^Mine has the key '{base.key}' of a built-in .*: give it another key$"):
        make(mine())
    named = type("Mine", (base,), {"key": "mine"})()
    assert make(named) is named


@pytest.mark.parametrize(
    ("wrap", "base"),
    [
        (lambda each: Mixed(mixing=NNM(), rule=each), MultiKrum),
        (lambda each: Mixed(mixing=each, rule=MultiKrum()), NNM),
    ],
)
def test_neither_is_one_in_a_pipeline_of_objects(wrap, base: type) -> None:
    with pytest.raises(InputError, match=rf"^Mine has the key '{base.key}' of a built-in "):
        aggregators.make(wrap(type("Mine", (base,), {})()))
    named = wrap(type("Mine", (base,), {"key": "mine"})())
    assert aggregators.make(named) is named


def test_data_sets_partitions_and_models_of_others_by_their_path() -> None:
    assert data.make("tiny:Tiny(train=60)") == Tiny(train=60)
    assert partition.make("tiny:Cuts(sizes=(4,5))", beta=0.3) == Cuts(sizes=(4, 5))
    assert models.make("tiny:norm") == UserModel(factory=tiny.norm)
    given = {"dataset": "tiny:Tiny", "partition": "tiny:Cuts(sizes=(24,24))", "clients": 2, "byzantine": 0, "rounds": 1}
    (run,) = make_runs({**given, "attacks": "none", "aggregators": "mean"})
    assert (run.source, run.partition, run.model) == (Tiny(), Cuts(sizes=(24, 24)), MLP())
    assert {"tiny.Tiny", "tiny.Cuts"} <= run.content["user_code"].keys()


NET = """
from dataclasses import dataclass
from gradskew.models import MLP

@dataclass(frozen=True, kw_only=True)
class Own(MLP):
    key = "own"

wide = Own(hidden=300)
"""


def test_a_model_of_others_is_a_class_an_object_or_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_net.py").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    assert models.make("own_net:Own(hidden=(3,4))").name == "own(hidden=(3,4))"
    assert models.make("own_net:wide").name == "own(hidden=300)"


@pytest.mark.parametrize(
    ("make", "text", "says"),
    [
        (data.make, "tiny:Cuts(sizes=(1,2))", "tiny:Cuts must be a class that inherits Source, or an object of one"),
        (data.make, "tiny:Tiny(trian=3)", "unknown option of tiny:Tiny 'trian'; did you mean 'train'"),
        (data.make, "tiny:missing", "cannot import the dataset 'tiny:missing'"),
        (data.make, "gradskew.data.digits:Digits", "has the key 'digits' of a built-in"),
        (data.make, "flwr:iid", "unknown dataset 'flwr'"),
        (partition.make, "csv:a.csv", "unknown partition 'csv'"),
        (partition.make, "tiny:Cuts", "tiny:Cuts: TypeError: .*sizes"),
        (partition.make, "tiny:NORM", "tiny:NORM must be a class that inherits Partition"),
        (models.make, "tiny:norm(width=3)", "unknown option of tiny:norm 'width'; .*known: vectorised"),
        (models.make, "gradskew.models.dense:MLP(hiden=3)", "did you mean 'hidden'"),
        (models.make, "gradskew.models.dense:MLP(hidden=3)", "has the key 'mlp' of a built-in"),
        (models.make, "tiny:NORM(vectorised=True)", "tiny:NORM is an object, not a class: it takes no options"),
    ],
)
def test_a_wrong_path_is_one_line(make, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        make(text)
    assert "\n" not in str(caught.value)


def test_packages_register_methods_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[gradskew.datasets]\nTiny-Set = tiny:Tiny\n[gradskew.partitions]\ncuts = tiny:Cuts\n"
        "[gradskew.models]\nnormed = tiny:norm\n[gradskew.aggregators]\ntwice = gradskew.aggregators.nnm:NNM\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert data.make("tiny-set(train=60)") == Tiny(train=60)
    assert partition.make("cuts(sizes=(3,))") == Cuts(sizes=(3,))
    assert models.make("Normed") == UserModel(factory=tiny.norm)
    with pytest.raises(InputError, match="has the key 'nnm' of a built-in"):
        aggregators.make("twice+median")
    with pytest.raises(InputError, match="unknown dataset 'tiny_sett'; did you mean 'tiny_set'"):
        data.make("tiny_sett")


def test_messages_speak_of_rules_and_never_suggest_none() -> None:
    """`none` is near to many words, and would play no attack."""
    with pytest.raises(InputError, match=r"^unknown rule 'krmu'; did you mean 'krum' \(multikrum\(m=1\)\)\? known: "):
        aggregators.make("krmu")
    with pytest.raises(InputError, match=r"^cannot import the rule 'nowhere:rule'"):
        aggregators.make("nowhere:rule")
    for name in ("nones", "nonce", "nine"):
        with pytest.raises(InputError, match=f"^unknown attack '{name}'; (?!did you mean 'none')"):
            attacks.make(name)
    for name in ("foe", "fall-of-empires", "FallOfEmpires(epsilon=0.1)"):
        assert attacks.make(name) == attacks.make("ipm")
