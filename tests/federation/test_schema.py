"""A record with a right checksum and wrong content is refused, and what a run writes is not."""

import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tiny_runs import RUNS

from gradskew import Record, aggregators, attacks, simulate
from gradskew.core.errors import InputError
from gradskew.core.names import canonical
from gradskew.federation.metrics import LensMetrics, Round
from gradskew.federation.schema import Spec
from gradskew.report.table import Table
from gradskew.runs.store import Store

RUN = replace(RUNS["mean"], attack=attacks.make("strike"), aggregator=aggregators.make("nnm+multikrum"), rounds=2)
STORED = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def content() -> dict:
    return json.loads(Record.of(simulate(RUN)).to_json())


def sealed(content: dict) -> str:
    """A record with this content, and the checksum of it."""
    body = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return json.dumps({**body, "sha256": hashlib.sha256(text.encode()).hexdigest()})


def changed(content: dict, where: str, value: object) -> dict:
    """The content with another value at `spec.clients` or `rounds.0.accuracy`; `...` takes it out."""
    made = copy.deepcopy(content)
    *path, last = [int(step) if step.isdigit() else step for step in where.split(".")]
    holder = made
    for step in path:
        holder = holder[step]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return made


WRONG = [
    ("spec", [], "the spec: Expected `object`"),
    ("spec.clients", 0, "clients"),
    ("spec.clients", True, "clients"),
    ("spec.clients", 10**18, "clients"),
    ("spec.clients", 7, "does not list its clients"),
    ("spec.byzantine", 6, "more Byzantine"),
    ("spec.sampled", 7, "sampled"),
    ("spec.attack", "strike", "attack"),
    ("spec.attack_name", "a\nb", "attack_name"),
    ("spec.attack_name", "\ud800", "attack_name"),
    ("spec.attack_name", "x" * 10_001, "attack_name"),
    ("spec.aggregator.mixing", {}, "aggregator"),
    ("spec.aggregator.rule", ..., "aggregator"),
    ("spec.aggregator.mixing", None, "aggregator"),
    ("spec.model.hidden", {"\n": 1}, "a setting that cannot be"),
    ("spec.sgd.clip", ..., "sgd"),
    ("spec.sgd.lr", "0.1", "sgd"),
    ("spec.data_sha256", "0" * 63, "data_sha256"),
    ("spec.data_sha256", "0" * 64 + "\n", "data_sha256"),
    ("spec.seed", -1, "seed"),
    ("spec.user_code", {"a.b": "c"}, "user_code"),
    ("spec.rounds", 3, "2 of 3 rounds"),
    ("rounds", {}, "more rounds"),
    ("rounds.0", None, "round 0: Expected `object`"),
    ("rounds.1.round", 0, "round 1 is called 0"),
    ("rounds.0.accuracy", 100.5, "accuracy"),
    ("rounds.0.accuracy", -1e-9, "accuracy"),
    ("rounds.0.accuracy", "50", "accuracy"),
    ("rounds.0.accuracy", True, "accuracy"),
    ("rounds.1.accuracy", None, "its last round has no accuracy"),
    ("rounds.0.rows", 5, "other rows"),
    ("rounds.0.byzantine_rows", 7, "other rows"),
    ("rounds.0.byzantine_share", 1.1, "byzantine_share"),
    ("rounds.0.distance", -1.0, "distance"),
    ("rounds.0.distance", 1e101, "distance"),
    ("rounds.0.distance", 1e-300, "distance"),
    ("rounds.0.attack", {}, "attack"),
    ("rounds.0.clamped", 0, "clamped"),
    ("rounds.0.lens", ..., "differ on the lens"),
    ("rounds.0.lens.towards.0", 1e200, "towards"),
    ("rounds.0.lens.principal", [0.0], "other projections than rows"),
    ("rounds.0.lens.kappa", "inf", "kappa"),
    ("rounds.0.lens.kappa_bound", "nan", "kappa_bound"),
    ("rounds.0.lens.spread", 1e-300, "spread is below 1e-100"),
    ("rounds.0.lens.towards.0", -1e-300, "a projection in towards is below 1e-100"),
    ("rounds.0.lens.cosine", 1.1, "cosine"),
    ("rounds.0.lens.progress", -1e200, "progress"),
    ("rounds.0.lens.mean_norm", 1e-300, "mean_norm is below 1e-100"),
    ("rounds.0.lens.farthest", -1.0, "farthest"),
    ("rounds.0.lens.shut_out", [0], "shuts out a client that has no row"),
    ("rounds.0.lens.shut_out", [5, 5], "shuts out a client that has no row"),
    ("rounds.0.lens.clients", [1, 2], "other clients than rows"),
    ("rounds.0.lens.classes", [50.0], "more than one number of classes"),
    ("class_counts", [[1, 2, 3]], "class counts"),
    ("class_counts.0", [-1, 0, 0], "class_counts"),
    ("class_counts.0", [1], "more than one number of classes"),
    ("params_sha256", "x", "params_sha256"),
    ("params_sha256", None, "params_sha256"),
]


@pytest.mark.parametrize(("where", "value", "message"), WRONG, ids=[f"{w}={v!r:.20}" for w, v, _ in WRONG])
def test_wrong_content_with_a_right_checksum_is_refused(content: dict, where: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Record.from_json(sealed(changed(content, where, value)))
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def required(kind: type) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind) if field.required]


@pytest.mark.parametrize(
    "where",
    [
        *(f"spec.{key}" for key in required(Spec)),
        *(f"rounds.0.lens.{key}" for key in required(LensMetrics)),
        *(f"rounds.1.{key}" for key in required(Round)),
        *("spec", "rounds"),
    ],
)
def test_nothing_may_be_missing(content: dict, where: str) -> None:
    with pytest.raises(ValueError, match=f"missing required field `{where.split('.')[-1]}`|not a record"):
        Record.from_json(sealed(changed(content, where, ...)))


RIGHT = [
    ("spec.semantics", 2),
    ("spec.later", {"a": [1, "x", None]}),
    ("spec.seed", 2**70),
    ("rounds.0.accuracy", 0),
    ("rounds.0.accuracy", None),
    ("rounds.0.distance", 0.0),
    ("rounds.0.attack", {"called": True, "of a user": [1, {"x": "é"}]}),
    ("rounds.0.rule", {"note": "\n"}),
    ("rounds.0.lens", None),
    ("rounds.0.lens.kappa_bound", "inf"),
    ("later", 1),
]


@pytest.mark.parametrize(("where", "value"), RIGHT, ids=str)
def test_what_a_run_may_write_is_read(content: dict, where: str, value: object) -> None:
    record = Record.from_json(sealed(changed(content, where, value)))
    assert Record.from_json(record.to_json()) == record


OTHERS = {"others": 5, "keys": [1], "later": {"a": None}, "get": "x"}


def test_metrics_of_another_version_are_read_and_written_as_they_are(content: dict) -> None:
    made = copy.deepcopy(content)
    made["rounds"][0] |= OTHERS
    made["rounds"][1]["lens"] |= OTHERS
    text = canonical(json.loads(sealed(made))) + "\n"
    record = Record.from_json(text)
    assert record.to_json() == text
    assert [record.rounds[0][key] for key in OTHERS] == list(OTHERS.values())
    assert record.rounds[1]["lens"].get("others") == 5


def test_a_round_is_read_as_a_dictionary(content: dict) -> None:
    metrics, wanted = Record.from_json(sealed(content)).rounds[0], content["rounds"][0]
    assert metrics == wanted == dict(metrics)
    assert wanted == metrics
    assert metrics != {**wanted, "rows": 5}
    assert sorted(metrics) == sorted(metrics.keys()) == sorted(wanted)
    assert dict(metrics.items())["lens"]["towards"] == wanted["lens"]["towards"]
    assert ("lens" in metrics, "later" in metrics, "others" in metrics) == (True, False, False)
    assert (metrics.get("later"), metrics.get("later", 3)) == (None, 3)
    for missing in ("later", "others", "get"):
        with pytest.raises(KeyError, match=missing):
            metrics[missing]


def test_a_deep_setting_is_refused(content: dict) -> None:
    deep: list = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ValueError, match="a setting that cannot be"):
        Record.from_json(sealed(changed(content, "spec.deep", deep)))


def test_a_run_cannot_be_made_that_could_not_be_read() -> None:
    """The same table holds a run's own spec: what is stored is never set aside as damaged."""
    clients = 10**10
    with pytest.raises(InputError, match="clients"):
        _ = replace(RUN, clients=clients, sampled=None).digest


def test_all_stored_records_are_sound() -> None:
    folders = sorted({path.parents[2] for path in STORED.rglob("record.json")})
    stored = sum(1 for _ in STORED.rglob("record.json"))
    assert sum(len(list(Store(folder).all())) for folder in folders) == stored > 500


def test_a_stored_record_is_written_again_with_the_same_bytes() -> None:
    for path in sorted(STORED.rglob("record.json"))[::10]:
        record = Record.from_json(path.read_text())
        assert record.to_json() == path.read_text()
        assert record.digest == path.parent.name


def test_records_of_one_data_set_agree_on_its_classes(content: dict) -> None:
    fewer = copy.deepcopy(content)
    fewer["spec"]["seed"] = 1
    del fewer["test_counts"]
    fewer["class_counts"] = [counts[:-1] for counts in fewer["class_counts"]]
    for metrics in fewer["rounds"]:
        metrics["lens"]["classes"].pop()
    records = [Record.from_json(sealed(each)) for each in (content, fewer)]
    assert [record.num_classes for record in records] == [3, 2]
    with pytest.raises(InputError, match="differ in the number of classes"):
        Table(records)
